#include "cli/endpoint_options.h"

#include <cstdio>

#include "cli/command_line.h"

namespace merope {

CLI::Validator ServerUrl() {
  return Parses([](const std::string& text) { return CheckServerUrl("endpoint", text); });
}

CLI::Option* AddEndpoint(CLI::App& command, EndpointOptions* options, const std::string& help) {
  CLI::Option* endpoint = AddText(command, "--endpoint", &options->url, help)->check(ServerUrl());
  AddText(command, "--model", &options->model,
          "Name of the model on the server (default: the first that the server lists)")
      ->needs(endpoint);
  AddText(command, "--api-key-env", &options->api_key_env,
          "Environment variable that holds the server's API key")
      ->needs(endpoint);
  command
      .add_option("--timeout", options->stall_seconds,
                  "Seconds without a byte after which a request has failed")
      ->check(Between(1, kMaxStallSeconds))
      ->capture_default_str()
      ->needs(endpoint);
  options->say = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  return endpoint;
}

}  // namespace merope

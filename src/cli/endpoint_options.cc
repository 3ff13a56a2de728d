#include "cli/endpoint_options.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cli/command_line.h"

namespace merope {

CLI::Validator ServerUrl() {
  return {[](const std::string& text) -> std::string {
            for (const std::string_view scheme : {"http://", "https://"})
              if (text.starts_with(scheme) && text.size() > scheme.size()) return "";
            return fmt::format("expected http://HOST:PORT or https://HOST:PORT, found \"{}\"",
                               text);
          },
          ""};
}

CLI::Option* AddEndpoint(CLI::App& command, EndpointArguments* arguments, const std::string& help) {
  CLI::Option* endpoint =
      AddText(command, "--endpoint", &arguments->options.url, help)->check(ServerUrl());
  AddText(command, "--model", &arguments->options.model,
          "Name of the model on the server (default: the first that the server lists)")
      ->needs(endpoint);
  AddText(command, "--api-key-env", &arguments->api_key_env,
          "Environment variable that holds the server's API key")
      ->needs(endpoint);
  command
      .add_option("--timeout", arguments->options.stall_seconds,
                  "Seconds without a byte after which a request has failed")
      ->check(Between(1, 86'400))
      ->capture_default_str()
      ->needs(endpoint);
  return endpoint;
}

Result<Endpoint> OpenEndpoint(const EndpointArguments& arguments, const std::string& url) {
  EndpointOptions options = arguments.options;
  if (!url.empty()) options.url = url;
  if (!arguments.api_key_env.empty()) {
    const char* key = std::getenv(arguments.api_key_env.c_str());
    if (key == nullptr || *key == '\0')
      return Err("api-key-env: expected the environment variable {} to hold a key, found none",
                 arguments.api_key_env);
    options.api_key = key;
  }
  options.say = [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); };
  return Endpoint::Open(std::move(options));
}

}  // namespace merope

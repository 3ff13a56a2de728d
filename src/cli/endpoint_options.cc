#include "cli/endpoint_options.h"

#include <cstdio>

#include "cli/command_line.h"
#include "verify/numerics.h"

namespace merope {

namespace {

CLI::Validator ServerUrl() {
  return Parses([](const std::string& text) { return CheckServerUrl("endpoint", text); });
}

}  // namespace

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

CLI::Option* AddEndpointEager(CLI::App& command, std::string* url, const std::string& help) {
  return AddText(command, "--endpoint-eager", url, help)->check(ServerUrl());
}

CLI::Option* AddTarget(CLI::App& command, TargetRequest* request, const std::string& help) {
  CLI::Option* endpoint = AddEndpoint(command, &request->endpoint, help);
  AddEndpointEager(command, &request->eager_url,
                   "A second server of the same device that runs the model without compilation; "
                   "its answers are compared with the first server's, position by position")
      ->needs(endpoint);
  AddText(command, "--numerics", &request->numerics,
          "Arithmetic of the server or of the device: bf16 (products in bf16, the rest in fp32), "
          "bf16-ops or fp16-ops (every op's result is rounded, as in PyTorch), fp32, int8, int4 or "
          "native (default: by the server's software)")
      ->check(Parses(ParseNumerics));
  command
      .add_option("--generate", request->choices.generate,
                  "Tokens that the server generates after each prompt (default: 64; 16 with "
                  "--quick)")
      ->check(Between(1, kMaxGenerate))
      ->needs(endpoint);
  command
      .add_option("--top-logprobs", request->choices.top_k,
                  "Tokens with logprobs to ask for at each position")
      ->check(Between(2, kMaxTopLogprobs))
      ->capture_default_str()
      ->needs(endpoint);
  command.add_option("--concurrency", request->choices.concurrency, "Requests at the same time")
      ->check(Between(1, kMaxConcurrency))
      ->capture_default_str()
      ->needs(endpoint);
  command
      .add_option("--max-tokens-total", request->endpoint.max_tokens_total,
                  "Stop before the requests to a server, prompts included, take more tokens than "
                  "this; measurements of speed are not counted")
      ->check(AtLeast(1))
      ->default_str("no limit")
      ->needs(endpoint);
  AddText(command, "--answers", &request->answers,
          "Keep the server's answers in this file (JSON lines), and do not ask again for the "
          "answers that it has")
      ->needs(endpoint);
  return endpoint;
}

}  // namespace merope

// The options of a server that a command measures or judges: --endpoint and those that belong to
// it. Called by verify and bench, on the main thread.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <string>

#include "base/error.h"
#include "endpoint/endpoint.h"

namespace merope {

struct EndpointArguments {
  EndpointOptions options;  // url empty: no endpoint
  std::string api_key_env;

  bool given() const { return !options.url.empty(); }
};

// A check of a server's URL.
CLI::Validator ServerUrl();
// Adds --endpoint with this help, --model, --api-key-env and --timeout. Returns --endpoint.
CLI::Option* AddEndpoint(CLI::App& command, EndpointArguments* arguments, const std::string& help);

// Opens the server, with the key from the environment. url: replaces that of the arguments, unless
// empty.
Result<Endpoint> OpenEndpoint(const EndpointArguments& arguments, const std::string& url = "");

}  // namespace merope

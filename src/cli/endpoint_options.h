// The options of a server that a command measures or judges: --endpoint and those that belong to
// it. Called by verify and bench, on the main thread.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <string>

#include "endpoint/options.h"

namespace merope {

// A check of a server's URL.
CLI::Validator ServerUrl();
// Adds --endpoint with this help, --model, --api-key-env and --timeout; long waits will be told on
// standard error. Without --endpoint, options->url stays empty. Returns --endpoint.
CLI::Option* AddEndpoint(CLI::App& command, EndpointOptions* options, const std::string& help);

}  // namespace merope

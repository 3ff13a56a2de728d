// The options of a server that a command measures or judges: --endpoint and those that belong to
// it. Called by verify, report and bench, on the main thread.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "endpoint/options.h"
#include "verify/endpoint_target.h"

namespace merope {

// Adds --endpoint with this help, --model, --api-key-env and --timeout; long waits will be told on
// standard error. Without --endpoint, options->url stays empty. Returns --endpoint.
CLI::Option* AddEndpoint(CLI::App& command, EndpointOptions* options, const std::string& help);
// Adds --endpoint-eager, the URL of a second server of the same device.
CLI::Option* AddEndpointEager(CLI::App& command, std::string* url, const std::string& help);
// Adds the options of AddEndpoint and AddEndpointEager, and those that say how verify and report
// ask. Returns --endpoint.
CLI::Option* AddTarget(CLI::App& command, TargetRequest* request, const std::string& help);

}  // namespace merope

// What a client of a server is told: where the server is, and how to ask. The commands and Python
// fill the options; Endpoint::Open checks them.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/stop.h"
#include "endpoint/answers_file.h"

namespace merope {

struct EndpointOptions {
  std::string url;         // "http://host:8000", with or without /v1
  std::string model = {};  // the name that requests give; empty: the first of the server's list
  // The environment variable that holds the key, which is sent as a bearer token and is never part
  // of a message; empty: no key.
  std::string api_key_env = {};
  // An exchange breaks off if no byte arrives for this time. Unit: seconds.
  int stall_seconds = 600;
  // Keeps all answers, and gives the answers that it has; nullptr: none are kept.
  std::shared_ptr<AnswersFile> answers = {};
  // Asks no server: the file of answers must have every answer.
  bool offline = false;
  // Begins the paths in the file of answers, so that one file can hold those of two servers.
  std::string label = {};
  // The most tokens, of prompts and of answers, that all clients of this server may ask for.
  int64_t max_tokens_total = std::numeric_limits<int64_t>::max();
  // Told of long waits between tries; may be empty.
  std::function<void(const std::string&)> say = {};
  StopFlag stop = {};  // ends every exchange with an error
};
inline constexpr int kMaxStallSeconds = 86'400;
// Checks "http://HOST:PORT" or "https://HOST:PORT". field: of the error.
Status CheckServerUrl(std::string_view field, std::string_view url);
// Checks the ranges. Returns the key, or "" if no variable holds one.
Result<std::string> CheckOptions(const EndpointOptions& options);

}  // namespace merope

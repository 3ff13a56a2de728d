// Standard output as a stream for people and pipes: a closed pipe ends the program quietly, any
// other failed write is an error.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

// Writes and flushes. False: the reader has gone, and there is nobody left to write for.
Result<bool> WriteOutput(std::string_view text);

// One line; bytes that are no UTF-8 become U+FFFD.
std::string JsonLine(const nlohmann::ordered_json& json);

// All of standard input, at most max_bytes.
Result<std::string> ReadInput(size_t max_bytes = size_t{1} << 28);

}  // namespace merope

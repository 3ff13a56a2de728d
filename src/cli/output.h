// Writes to standard output and reads from standard input. A closed pipe ends the program without a
// message; any other failed write is an error. Called by the commands, on the main thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace merope {

// Writes the text at once, without a buffer. Returns false if the reader closed the pipe.
Result<bool> WriteOutput(std::string_view text);

// JSON on one line. Bytes that are not UTF-8 become U+FFFD.
std::string JsonLine(const OrderedJson& json);

// Reads all of standard input. More than max_bytes is an error.
Result<std::string> ReadInput(size_t max_bytes = size_t{1} << 28);

}  // namespace merope

#include "cli/output.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace merope {

Result<bool> WriteOutput(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EPIPE) {
      return false;
    } else if (errno != EINTR) {
      return Err("standard output: {}", std::strerror(errno));
    }
  }
  return true;
}

std::string JsonLine(const OrderedJson& json) { return DumpJson(json) + "\n"; }

Result<std::string> ReadInput(size_t max_bytes) {
  std::string text;
  std::array<char, 1 << 16> block;
  while (true) {
    const ssize_t n = read(STDIN_FILENO, block.data(), block.size());
    if (n == 0) return text;
    if (n < 0 && errno != EINTR) return Err("standard input: {}", std::strerror(errno));
    if (n > 0) text.append(block.data(), static_cast<size_t>(n));
    if (text.size() > max_bytes)
      return Err("standard input: expected at most {} bytes, found more", max_bytes);
  }
}

}  // namespace merope

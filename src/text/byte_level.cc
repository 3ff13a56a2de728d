#include <array>

#include "base/utf8.h"
#include "text/pieces.h"

namespace merope::byte_level {
namespace {

constexpr bool IsPrintable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// The printable bytes of Latin-1 map to themselves. The other bytes map to U+0100, U+0101, …, in
// order.
constexpr std::array<char32_t, 256> kCharacters = [] {
  std::array<char32_t, 256> characters{};
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    characters[byte] = IsPrintable(byte) ? byte : next++;
  }
  return characters;
}();

constexpr char32_t kEnd = 0x144;

constexpr std::array<int16_t, kEnd> kBytes = [] {
  std::array<int16_t, kEnd> bytes{};
  bytes.fill(-1);
  for (unsigned byte = 0; byte < 256; ++byte) bytes[kCharacters[byte]] = static_cast<int16_t>(byte);
  return bytes;
}();

}  // namespace

void AppendMapped(std::string_view bytes, std::string* out) {
  for (const char byte : bytes) utf8::Append(kCharacters[static_cast<unsigned char>(byte)], out);
}

bool Unmap(std::string_view token, std::string* bytes) {
  bytes->clear();
  for (size_t at = 0; at < token.size();) {
    const char32_t c = utf8::Next(token, &at);
    if (c >= kEnd || kBytes[c] < 0) return false;
    bytes->push_back(static_cast<char>(kBytes[c]));
  }
  return true;
}

}  // namespace merope::byte_level

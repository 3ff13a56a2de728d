// Functions that read and write UTF-8. Pure functions, safe on any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace merope::utf8 {

// The length in bytes of the longest prefix of text that is valid UTF-8. The length is text.size()
// if the whole text is valid.
size_t ValidPrefix(std::string_view text);

// Whether the byte is a continuation byte: a byte of a character, but not the first byte.
inline bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The number of bytes of the first character of text. text is not empty. 0 if text does not start
// with a valid character.
size_t CharacterBytes(std::string_view text);

// Whether text is exactly one character. text is valid UTF-8.
bool IsOneCharacter(std::string_view text);

// Returns the character at *at and moves *at past the character. text is valid UTF-8.
inline char32_t Next(std::string_view text, size_t* at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[*at + i]); };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    *at += 1;
    return lead;
  }
  if (lead < 0xE0) {
    const char32_t c = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    *at += 2;
    return c;
  }
  if (lead < 0xF0) {
    const char32_t c = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    *at += 3;
    return c;
  }
  const char32_t c =
      (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  *at += 4;
  return c;
}

// Returns the character before *at and moves *at back to the start of the character. text is valid
// UTF-8, and *at > 0.
inline char32_t Previous(std::string_view text, size_t* at) {
  do --*at;
  while ((static_cast<unsigned char>(text[*at]) & 0xC0) == 0x80);
  size_t next = *at;
  return Next(text, &next);
}

void Append(char32_t c, std::string* out);

// Moves bytes from *pending to *out. Each maximal ill-formed part becomes one U+FFFD. If end is
// false, an incomplete character at the end of *pending stays in *pending, because later bytes may
// complete the character.
void DrainLossy(std::string* pending, bool end, std::string* out);

}  // namespace merope::utf8

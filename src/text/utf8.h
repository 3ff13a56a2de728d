// UTF-8, byte by byte. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace merope::utf8 {

// The length of the longest prefix of text that is valid UTF-8 (text.size() if all of it is).
size_t ValidPrefix(std::string_view text);

// Whether text, valid UTF-8, is one character.
bool IsOneCharacter(std::string_view text);

// The character at *at of valid UTF-8; moves *at past it.
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

// The character before at (> 0) of valid UTF-8; moves *at back to its start.
inline char32_t Previous(std::string_view text, size_t* at) {
  do --*at;
  while ((static_cast<unsigned char>(text[*at]) & 0xC0) == 0x80);
  size_t next = *at;
  return Next(text, &next);
}

void Append(char32_t c, std::string* out);

// Moves what is decided of *pending to *out, with one U+FFFD for each maximal ill-formed part; the
// start of a character that may still become whole stays in *pending, unless this is the end.
void DrainLossy(std::string* pending, bool end, std::string* out);

}  // namespace merope::utf8

#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace merope::utf8 {
namespace {

struct Step {
  size_t length;  // bytes of the character, or of the maximal ill-formed part
  bool valid;
  bool open;  // the character is ill-formed only because the text ends
};

// Examines the character that starts at text[at], according to table 3-7 of the Unicode Standard.
Step StepAt(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, true, false};
  size_t length = 0;
  unsigned low = 0x80, high = 0xBF;  // bounds of the second byte
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false, false};
  }
  for (size_t i = 1; i < length; ++i) {
    if (at + i == text.size()) return {i, false, true};
    if (byte(i) < low || byte(i) > high) return {i, false, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true, false};
}

}  // namespace

size_t ValidPrefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    if (at + 8 <= text.size()) {
      uint64_t eight;
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const Step step = StepAt(text, at);
    if (!step.valid) return at;
    at += step.length;
  }
  return at;
}

size_t CharacterBytes(std::string_view text) {
  const Step step = StepAt(text, 0);
  return step.valid ? step.length : 0;
}

bool IsOneCharacter(std::string_view text) {
  return !text.empty() && StepAt(text, 0).length == text.size();
}

void Append(char32_t c, std::string* out) {
  const auto put = [&](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

void DrainLossy(std::string* pending, bool end, std::string* out) {
  size_t at = 0;
  while (at < pending->size()) {
    const Step step = StepAt(*pending, at);
    if (step.valid) {
      out->append(*pending, at, step.length);
    } else if (step.open && !end) {
      break;
    } else {
      out->append("\xEF\xBF\xBD");
    }
    at += step.length;
  }
  pending->erase(0, at);
}

}  // namespace merope::utf8

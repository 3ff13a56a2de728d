#include "verify/token_text.h"

#include <fmt/format.h>

namespace merope {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 0;  // 0: no valid UTF-8 starts here
};

CodePoint NextCodePoint(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t n = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (n == 0 || lead >= 0xf5 || text.size() < n) return {};
  uint32_t value = lead & (0x7fu >> n);
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {};
  return {value, n};
}

// The blocks that terminals show two columns wide (Unicode's East Asian Width W and F, by whole
// blocks), and combining marks.
int64_t Columns(uint32_t c) {
  if ((c >= 0x300 && c < 0x370) || (c >= 0x200b && c < 0x2010) || (c >= 0xfe00 && c < 0xfe10))
    return 0;
  const bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) ||
                    (c >= 0xac00 && c < 0xd7a4) || (c >= 0xf900 && c < 0xfb00) ||
                    (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
                    (c >= 0x1f300 && c < 0x1f650) || (c >= 0x1f900 && c < 0x1fa00) ||
                    (c >= 0x20000 && c < 0x40000);
  return wide ? 2 : 1;
}

}  // namespace

std::string EscapeText(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const CodePoint c = NextCodePoint(bytes);
    const size_t n = c.bytes == 0 ? 1 : c.bytes;
    if (c.bytes == 0 || c.value < 0x20 || c.value == 0x7f) {
      switch (bytes[0]) {
        case '\n':
          text += "\\n";
          break;
        case '\r':
          text += "\\r";
          break;
        case '\t':
          text += "\\t";
          break;
        default:
          text += fmt::format("\\x{:02x}", static_cast<uint8_t>(bytes[0]));
      }
    } else if (c.value >= 0x80 && c.value < 0xa0) {
      text += fmt::format("\\u{:04x}", c.value);
    } else {
      text += bytes.substr(0, n);
    }
    bytes.remove_prefix(n);
  }
  return text;
}

std::string TokenText(const Tokenizer& tokenizer, int32_t id) {
  return EscapeText(tokenizer.IsSpecial(id) ? std::string(tokenizer.IdToToken(id))
                                            : tokenizer.TokenBytes(id));
}

int64_t DisplayWidth(std::string_view text) {
  int64_t width = 0;
  while (!text.empty()) {
    const CodePoint c = NextCodePoint(text);
    width += c.bytes == 0 ? 1 : Columns(c.value);
    text.remove_prefix(c.bytes == 0 ? 1 : c.bytes);
  }
  return width;
}

std::string FitWidth(std::string_view text, int64_t columns) {
  int64_t width = DisplayWidth(text);
  std::string fitted(text);
  if (width > columns) {
    fitted.clear();
    width = 0;
    for (std::string_view rest = text; !rest.empty();) {
      const CodePoint c = NextCodePoint(rest);
      const size_t n = c.bytes == 0 ? 1 : c.bytes;
      const int64_t w = c.bytes == 0 ? 1 : Columns(c.value);
      if (width + w > columns - 1) break;
      fitted += rest.substr(0, n);
      width += w;
      rest.remove_prefix(n);
    }
    fitted += "…";
    ++width;
  }
  return fitted + std::string(static_cast<size_t>(columns - width), ' ');
}

}  // namespace merope

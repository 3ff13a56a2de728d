#include "verify/token_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"

namespace merope {
namespace {

struct Character {
  std::string_view text;
  bool valid = false;  // false: text is one byte that is not valid UTF-8
  char32_t value = 0;  // the code point, if valid
};

// Removes the first character of the text and returns it. The text must not be empty.
Character TakeCharacter(std::string_view* text) {
  const size_t n = utf8::CharacterBytes(*text);
  Character c{.text = text->substr(0, std::max<size_t>(n, 1)), .valid = n > 0};
  size_t at = 0;
  if (c.valid) c.value = utf8::Next(c.text, &at);
  text->remove_prefix(c.text.size());
  return c;
}

// 2 for the blocks that terminals show two columns wide (Unicode's East Asian Width W and F, by
// whole blocks). 0 for combining marks and other characters without width.
int64_t Columns(char32_t c) {
  if ((c >= 0x300 && c < 0x370) || (c >= 0x200b && c < 0x2010) || (c >= 0xfe00 && c < 0xfe10))
    return 0;
  const bool wide = (c >= 0x1100 && c < 0x1160) || (c >= 0x2e80 && c < 0xa4d0) ||
                    (c >= 0xac00 && c < 0xd7a4) || (c >= 0xf900 && c < 0xfb00) ||
                    (c >= 0xfe30 && c < 0xfe70) || (c >= 0xff00 && c < 0xff61) ||
                    (c >= 0x1f300 && c < 0x1f650) || (c >= 0x1f900 && c < 0x1fa00) ||
                    (c >= 0x20000 && c < 0x40000);
  return wide ? 2 : 1;
}

int64_t Columns(const Character& c) { return c.valid ? Columns(c.value) : 1; }

}  // namespace

std::string EscapeText(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const Character c = TakeCharacter(&bytes);
    if (!c.valid || c.value < 0x20 || c.value == 0x7f) {
      switch (c.text[0]) {
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
          text += fmt::format("\\x{:02x}", static_cast<uint8_t>(c.text[0]));
      }
    } else if (c.value >= 0x80 && c.value < 0xa0) {
      text += fmt::format("\\u{:04x}", static_cast<uint32_t>(c.value));
    } else {
      text += c.text;
    }
  }
  return text;
}

std::string TokenText(const Tokenizer& tokenizer, int32_t id) {
  return EscapeText(tokenizer.IsSpecial(id) ? std::string(tokenizer.IdToToken(id))
                                            : tokenizer.TokenBytes(id));
}

std::function<std::string(int32_t id)> TokenNamesOf(const Tokenizer& tokenizer) {
  return [&tokenizer](int32_t id) { return TokenText(tokenizer, id); };
}

int64_t DisplayWidth(std::string_view text) {
  int64_t width = 0;
  while (!text.empty()) width += Columns(TakeCharacter(&text));
  return width;
}

std::string FitWidth(std::string_view text, int64_t columns) {
  int64_t width = DisplayWidth(text);
  std::string fitted(text);
  if (width > columns) {
    fitted.clear();
    width = 0;
    for (std::string_view rest = text; !rest.empty();) {
      const Character c = TakeCharacter(&rest);
      if (width + Columns(c) > columns - 1) break;
      fitted += c.text;
      width += Columns(c);
    }
    fitted += "…";
    ++width;
  }
  return fitted + std::string(static_cast<size_t>(columns - width), ' ');
}

}  // namespace merope

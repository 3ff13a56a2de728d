#include "text/strings.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/unicode.h"

namespace merope::strings {
namespace {

// The offset of the character that ends at `end`.
size_t PreviousCharacter(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && end - start < 4 && utf8::IsContinuation(text[start])) --start;
  return CharacterBytes(text, start) == end - start ? start : end - 1;
}

bool Contains(std::string_view characters, std::string_view character) {
  for (size_t at = 0; at < characters.size(); at += CharacterBytes(characters, at))
    if (characters.substr(at, CharacterBytes(characters, at)) == character) return true;
  return false;
}

char AsciiLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
char AsciiUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

// Whether a character beyond ASCII may have a case: letters, marks, numbers (Ⅷ) and symbols (Ⓐ). A
// byte that is not valid UTF-8 counts too.
bool MayHaveCase(std::string_view character) {
  if (character.size() == 1) return static_cast<unsigned char>(character[0]) >= 0x80;
  const uint32_t c = CodePoint(character);
  const unicode::Category category = unicode::CategoryOf(c);
  return category <= unicode::kLm || category == unicode::kMn || category == unicode::kNl ||
         (c >= 0x24B6 && c <= 0x24E9);
}

Status CheckAscii(std::string_view text) {
  for (size_t at = 0; at < text.size(); at += CharacterBytes(text, at))
    if (MayHaveCase(text.substr(at, CharacterBytes(text, at))))
      return Err("the case of \"{}\": only ASCII is supported",
                 text.substr(at, CharacterBytes(text, at)));
  return {};
}

}  // namespace

size_t CharacterBytes(std::string_view text, size_t at) {
  return std::max<size_t>(utf8::CharacterBytes(text.substr(at)), 1);
}

int64_t CountCharacters(std::string_view text) {
  int64_t n = 0;
  for (size_t at = 0; at < text.size(); at += CharacterBytes(text, at)) ++n;
  return n;
}

std::vector<size_t> CharacterOffsets(std::string_view text) {
  std::vector<size_t> offsets;
  for (size_t at = 0; at < text.size(); at += CharacterBytes(text, at)) offsets.push_back(at);
  offsets.push_back(text.size());
  return offsets;
}

uint32_t CodePoint(std::string_view character) {
  size_t at = 0;
  return character.size() == 1 ? static_cast<unsigned char>(character[0])
                               : utf8::Next(character, &at);
}

bool IsPrintable(std::string_view character) {
  if (character == " ") return true;
  const unicode::Category category = unicode::CategoryOf(CodePoint(character));
  return category < unicode::kZs;  // no separators, and none of the categories "Other" (C*)
}

// Python's str.isspace: the characters with the property White_Space in Unicode's PropList.txt, and
// U+001C…U+001F (bidirectional class B or S).
bool IsSpace(std::string_view c) {
  if (c.size() == 1) {
    const char byte = c[0];
    return byte == ' ' || (byte >= '\t' && byte <= '\r') || (byte >= 0x1C && byte <= 0x1F);
  }
  if (c.size() == 2) return c == "\u0085" || c == "\u00A0";
  if (c.size() != 3) return false;
  if (c >= "\u2000" && c <= "\u200A") return true;
  return c == "\u1680" || c == "\u2028" || c == "\u2029" || c == "\u202F" || c == "\u205F" ||
         c == "\u3000";
}

std::string_view Strip(std::string_view text, bool left, bool right,
                       std::optional<std::string_view> characters) {
  const auto strip = [&](std::string_view c) {
    return characters ? Contains(*characters, c) : IsSpace(c);
  };
  while (left && !text.empty()) {
    const size_t n = CharacterBytes(text, 0);
    if (!strip(text.substr(0, n))) break;
    text.remove_prefix(n);
  }
  while (right && !text.empty()) {
    const size_t at = PreviousCharacter(text, text.size());
    if (!strip(text.substr(at))) break;
    text = text.substr(0, at);
  }
  return text;
}

std::vector<std::string> Split(std::string_view text, std::optional<std::string_view> separator,
                               int64_t max_splits) {
  std::vector<std::string> parts;
  const auto may_split = [&] { return max_splits < 0 || std::ssize(parts) < max_splits; };
  if (separator) {
    for (size_t at; may_split() && (at = text.find(*separator)) != text.npos;) {
      parts.emplace_back(text.substr(0, at));
      text.remove_prefix(at + separator->size());
    }
    parts.emplace_back(text);
    return parts;
  }
  while (!(text = Strip(text, true, false)).empty()) {
    if (!may_split()) {
      parts.emplace_back(text);
      break;
    }
    size_t end = 0;
    while (end < text.size() && !IsSpace(text.substr(end, CharacterBytes(text, end))))
      end += CharacterBytes(text, end);
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return parts;
}

std::vector<std::string> SplitFromRight(std::string_view text,
                                        std::optional<std::string_view> separator,
                                        int64_t max_splits) {
  if (max_splits < 0) return Split(text, separator, -1);
  std::vector<std::string> parts;
  const auto may_split = [&] { return std::ssize(parts) < max_splits; };
  if (separator) {
    for (size_t at; may_split() && (at = text.rfind(*separator)) != text.npos;) {
      parts.emplace_back(text.substr(at + separator->size()));
      text = text.substr(0, at);
    }
    parts.emplace_back(text);
  } else {
    while (!(text = Strip(text, false, true)).empty()) {
      if (!may_split()) {
        parts.emplace_back(text);
        break;
      }
      size_t begin = text.size();
      for (size_t at; begin > 0; begin = at) {
        at = PreviousCharacter(text, begin);
        if (IsSpace(text.substr(at, begin - at))) break;
      }
      parts.emplace_back(text.substr(begin));
      text = text.substr(0, begin);
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> SplitLines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view c = text.substr(at, CharacterBytes(text, at));
    const size_t end = at;
    at += c.size();
    const bool ascii_break =
        c.size() == 1 && ((c[0] >= '\n' && c[0] <= '\r') || (c[0] >= 0x1C && c[0] <= 0x1E));
    if (!ascii_break && c != "\u0085" && c != "\u2028" && c != "\u2029") continue;
    if (c == "\r" && at < text.size() && text[at] == '\n') ++at;
    lines.emplace_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

Result<std::string> Replace(std::string_view text, std::string_view from, std::string_view to,
                            int64_t max) {
  std::string result;
  for (int64_t replaced = 0; max < 0 || replaced < max; ++replaced) {
    const size_t at = from.empty() ? 0 : text.find(from);
    if (at == text.npos) break;
    result += text.substr(0, at);
    result += to;
    if (result.size() > kMaxTextBytes)
      return Err("replace: a string of more than {} bytes", kMaxTextBytes);
    text.remove_prefix(at + from.size());
    if (!from.empty()) continue;
    if (text.empty()) break;  // an empty `from` matches before each character, and at the end
    const size_t n = CharacterBytes(text, 0);
    result += text.substr(0, n);
    text.remove_prefix(n);
  }
  result += text;
  return result;
}

Result<std::string> Lower(std::string_view text) {
  TRY(CheckAscii(text));
  std::string result(text);
  std::ranges::transform(result, result.begin(), AsciiLower);
  return result;
}

Result<std::string> Upper(std::string_view text) {
  TRY(CheckAscii(text));
  std::string result(text);
  std::ranges::transform(result, result.begin(), AsciiUpper);
  return result;
}

Result<std::string> Capitalize(std::string_view text) {
  TRY_ASSIGN(std::string result, Lower(text));
  if (!result.empty()) result[0] = AsciiUpper(result[0]);
  return result;
}

}  // namespace merope::strings

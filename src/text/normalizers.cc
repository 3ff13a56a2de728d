#include <algorithm>

#include "base/utf8.h"
#include "text/pieces.h"

namespace merope::normalizers {
namespace {

// The number of bytes of white space at the start of text.
size_t SpaceAtStart(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    if (!unicode::IsWhiteSpace(utf8::Next(text, &next))) break;
    at = next;
  }
  return at;
}

// The size of text without the white space at the end.
size_t WithoutSpaceAtEnd(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t before = end;
    if (!unicode::IsWhiteSpace(utf8::Previous(text, &before))) break;
    end = before;
  }
  return end;
}

}  // namespace

size_t MaxBytes(size_t original) { return (size_t{1} << 20) + 64 * original; }

Normalizer UnicodeForm(unicode::Form form) {
  return [form](std::string* text) -> Status {
    *text = unicode::Normalize(*text, form);
    return {};
  };
}

Normalizer LowerCase() {
  return [](std::string* text) -> Status {
    *text = unicode::LowerCase(*text);
    return {};
  };
}

Normalizer StripAccents() {
  return [](std::string* text) -> Status {
    std::string kept;
    kept.reserve(text->size());
    for (size_t at = 0; at < text->size();) {
      const char32_t c = utf8::Next(*text, &at);
      if (!unicode::IsOldMark(c)) utf8::Append(c, &kept);
    }
    *text = std::move(kept);
    return {};
  };
}

Normalizer Strip(bool left, bool right) {
  return [=](std::string* text) -> Status {
    if (right) text->resize(WithoutSpaceAtEnd(*text));
    if (left) text->erase(0, SpaceAtStart(*text));
    return {};
  };
}

Normalizer Prepend(std::string prefix) {
  return [prefix = std::move(prefix)](std::string* text) -> Status {
    if (!text->empty()) text->insert(0, prefix);
    return {};
  };
}

Normalizer Replace(Matcher matcher, std::string content) {
  return [matcher = std::move(matcher), content = std::move(content)](std::string* text) -> Status {
    std::vector<TextRange> matches;
    TRY(matcher(*text, &matches));
    if (matches.empty()) return {};
    const size_t max = MaxBytes(text->size());
    if (!content.empty() && matches.size() > max / content.size()) {
      return Err("the normalizer Replace makes more than {} bytes of a text of {}", max,
                 text->size());
    }
    std::string out;
    size_t at = 0;
    for (const TextRange& match : matches) {
      out.append(*text, at, match.begin - at);
      out.append(content);
      at = match.end;
    }
    out.append(*text, at);
    *text = std::move(out);
    return {};
  };
}

Normalizer MapBytes() {
  return [](std::string* text) -> Status {
    std::string out;
    byte_level::AppendMapped(*text, &out);
    *text = std::move(out);
    return {};
  };
}

}  // namespace merope::normalizers

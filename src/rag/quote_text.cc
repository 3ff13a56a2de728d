#include "rag/quote_text.h"

#include <utility>

#include "base/utf8.h"
#include "text/unicode.h"

namespace merope {
namespace {

constexpr char32_t kZeroWidthJoiner = 0x200D, kMinus = 0x2212;

std::string ValidUtf8(std::string text) {
  if (utf8::ValidPrefix(text) == text.size()) return text;
  std::string valid;
  utf8::DrainLossy(&text, true, &valid);
  return valid;
}

bool IsDigit(char32_t c) { return unicode::CategoryOf(c) == unicode::kNd; }
bool JoinsDigits(char32_t c) { return c == '.' || c == ',' || c == ':'; }
bool IsSign(char32_t c) { return c == '-' || c == kMinus; }

// Whether a word ends and another one may start between two characters. before2 and after2: the
// characters beyond them; 0 at the ends of the text.
bool IsBorder(char32_t before2, char32_t before, char32_t after, char32_t after2) {
  if (before == 0 || after == 0) return true;
  if (unicode::IsMark(after) || after == kZeroWidthJoiner || before == kZeroWidthJoiner)
    return false;
  if (IsDigit(before) && JoinsDigits(after) && IsDigit(after2)) return false;
  if (IsDigit(before2) && JoinsDigits(before) && IsDigit(after)) return false;
  if (IsSign(before) && IsDigit(after) && !unicode::IsWord(before2)) return false;
  if (IsCjk(before) || IsCjk(after)) return true;
  return !(unicode::IsWord(before) && unicode::IsWord(after));
}

}  // namespace

bool IsCjk(char32_t c) {
  return (c >= 0x3005 && c <= 0x3007) || (c >= 0x3021 && c <= 0x3029) ||
         (c >= 0x3040 && c <= 0x312F) || (c >= 0x31A0 && c <= 0x31BF) ||
         (c >= 0x31F0 && c <= 0x31FF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFF66 && c <= 0xFF9F) || (c >= 0x20000 && c <= 0x3FFFF);
}

std::string_view Trim(std::string_view text) {
  size_t begin = 0;
  while (begin < text.size()) {
    size_t next = begin;
    if (!unicode::IsWhiteSpace(utf8::Next(text, &next))) break;
    begin = next;
  }
  size_t end = text.size();
  while (end > begin) {
    size_t previous = end;
    if (!unicode::IsWhiteSpace(utf8::Previous(text, &previous))) break;
    end = previous;
  }
  return text.substr(begin, end - begin);
}

QuoteText::QuoteText(std::string text) : text_(ValidUtf8(std::move(text))) {
  const size_t n = text_.size();
  marks_.resize(n + 1);
  characters_.resize(n + 1);
  words_.resize(n + 1);
  cjk_.resize(n + 1);
  const auto next = [this](size_t* at) { return *at < size() ? utf8::Next(text_, at) : 0; };
  uint32_t characters = 0, words = 0, cjk = 0;
  char32_t before2 = 0, before = 0;
  for (size_t at = 0;;) {
    size_t after_at = at;
    const char32_t after = next(&after_at);
    size_t after2_at = after_at;
    const char32_t after2 = next(&after2_at);
    const bool border = IsBorder(before2, before, after, after2);
    if (border && after != 0 && !unicode::IsWhiteSpace(after)) marks_[at] |= kStart;
    if (border && before != 0 && !unicode::IsWhiteSpace(before)) marks_[at] |= kEnd;
    characters_[at] = characters;
    words_[at] = words;
    cjk_[at] = cjk;
    if (at == n) break;
    for (size_t inside = at + 1; inside < after_at; ++inside) {  // never a start or an end
      characters_[inside] = characters;
      words_[inside] = words;
      cjk_[inside] = cjk;
    }
    ++characters;
    words += border && unicode::IsWord(after) && !IsCjk(after);
    cjk += IsCjk(after);
    before2 = before;
    before = after;
    at = after_at;
  }
  const std::string_view trimmed = Trim(text_);
  first_ = static_cast<size_t>(trimmed.data() - text_.data());
  last_ = first_ + trimmed.size();
}

bool QuoteText::HasLength(size_t begin, size_t end) const {
  if (!HasWord(begin, end)) return false;  // only punctuation
  const size_t characters = characters_[end] - characters_[begin];
  return characters >= kMinQuoteCharacters || words_[end] - words_[begin] >= kMinQuoteWords ||
         (cjk_[end] > cjk_[begin] && characters >= kMinCjkQuoteCharacters);
}

}  // namespace merope

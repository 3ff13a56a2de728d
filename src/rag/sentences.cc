#include "rag/sentences.h"

#include "base/utf8.h"
#include "rag/quote_text.h"
#include "text/unicode.h"

namespace merope {

size_t SentenceEnd(std::string_view text, size_t begin) {
  size_t letters = 0;  // of the word so far
  for (size_t at = begin; at < text.size();) {
    const char32_t c = utf8::Next(text, &at);
    if (c == '\n' || c == U'。' || c == U'！' || c == U'？') return at;
    size_t next = at;
    const bool before_space = at == text.size() || unicode::IsWhiteSpace(utf8::Next(text, &next));
    const bool stops = c == '!' || c == '?' || (c == '.' && letters != 1);
    if (stops && before_space) return at;
    letters = unicode::IsLetter(c) ? letters + 1 : 0;
  }
  return text.size();
}

std::vector<TextSpan> SentencesOf(std::string_view text) {
  std::vector<TextSpan> sentences;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = SentenceEnd(text, begin);
    const std::string_view sentence = Trim(text.substr(begin, end - begin));
    if (!sentence.empty()) {
      const auto at = static_cast<size_t>(sentence.data() - text.data());
      sentences.push_back({at, at + sentence.size()});
    }
    begin = end;
  }
  return sentences;
}

}  // namespace merope

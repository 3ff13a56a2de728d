// Where a quote may start and end in a text, and whether a part of the text is long enough to be a
// quote. The rules are the same for the check of a finished quote (grounding.h) and for the mask
// that binds a model to a source (quote_constraint.h). A QuoteText is immutable after construction.
// Any thread may use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

// A quote has a letter or a digit, and at least kMinQuoteCharacters characters, or kMinQuoteWords
// words, or, if it has a Chinese or Japanese character, kMinCjkQuoteCharacters characters, or it is
// the whole text.
inline constexpr size_t kMinQuoteCharacters = 12, kMinQuoteWords = 2, kMinCjkQuoteCharacters = 4;

class QuoteText {
 public:
  explicit QuoteText(std::string text);  // valid UTF-8; other bytes become U+FFFD

  const std::string& text() const { return text_; }
  size_t size() const { return text_.size(); }

  // Whether a quote may start before the byte `at`, or end there. A quote starts and ends at a
  // border between words, and has no white space at its ends. Between two Chinese or Japanese
  // characters there is always a border. There is none inside a number ("1,000", "3.5", "-5").
  bool StartsAt(size_t at) const { return (marks_[at] & kStart) != 0; }
  bool EndsAt(size_t at) const { return (marks_[at] & kEnd) != 0; }
  // begin: a start; end: an end after it. HasLength does not know the rule of the whole text.
  bool HasLength(size_t begin, size_t end) const;
  bool IsLongEnough(size_t begin, size_t end) const {
    return HasLength(begin, end) || (begin == first_ && end == last_ && HasWord(begin, end));
  }

 private:
  static constexpr uint8_t kStart = 1, kEnd = 2;

  bool HasWord(size_t begin, size_t end) const {
    return words_[end] > words_[begin] || cjk_[end] > cjk_[begin];
  }

  std::string text_;
  // (size + 1) each. The counts are those of the bytes before.
  std::vector<uint8_t> marks_;
  std::vector<uint32_t> characters_, words_, cjk_;
  size_t first_ = 0, last_ = 0;  // the text without white space at its ends
};

// Whether c belongs to a script that is written without spaces between words: Han, Hiragana,
// Katakana, Bopomofo.
bool IsCjk(char32_t c);

// The text without white space at its ends. text is valid UTF-8.
std::string_view Trim(std::string_view text);

}  // namespace merope

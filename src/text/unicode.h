// Character properties and normalisation forms. The properties are those of Unicode 16.0, the
// version that HF tokenizers uses. Comments name the functions that use another version. Pure
// functions, safe on any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/unicode_tables.h"

namespace merope::unicode {

// General categories, in the order of the generated table.
enum Category : uint8_t {
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCs,
  kCo,
  kCn,
};

inline Category CategoryOf(char32_t c) {
  const size_t block = kCategoryIndex[c / kCategoryBlockSize];
  return static_cast<Category>(
      kCategoryBlocks[block * kCategoryBlockSize + c % kCategoryBlockSize]);
}

inline bool IsIn(char32_t c, Category first, Category last) {
  const Category category = CategoryOf(c);
  return category >= first && category <= last;
}
inline bool IsLetter(char32_t c) { return IsIn(c, kLu, kLo); }
inline bool IsMark(char32_t c) { return IsIn(c, kMn, kMe); }
inline bool IsNumber(char32_t c) { return IsIn(c, kNd, kNo); }
inline bool IsPunctuation(char32_t c) { return IsIn(c, kPc, kPo); }

// Whether c has the property White_Space.
inline bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || (c >= 0xA0 && IsIn(c, kZs, kZp));
}
// The marks that HF's StripAccents knows (Unicode 9.0), and the punctuation that HF's Punctuation
// knows (Unicode 8.0).
bool IsOldMark(char32_t c);
bool IsOldPunctuation(char32_t c);
// Whether c is a word character (\w) of regular expressions: an alphabetic character, a mark, a
// decimal digit, a connector or a joiner.
bool IsWord(char32_t c);

enum class Form : uint8_t { kNfc, kNfd, kNfkc, kNfkd };
// text is valid UTF-8. The forms are those of Unicode 9.0. Normalize does not change characters of
// later versions.
std::string Normalize(std::string_view text, Form form);

// Applies the full lower case mapping to each character, without context rules.
std::string LowerCase(std::string_view text);

}  // namespace merope::unicode

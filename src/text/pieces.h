// A text cut into pieces, and the steps that cut and rewrite it: what a tokenizer file calls
// normalizers and pre-tokenizers. Steps are immutable: safe on any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace merope {

// The pieces lie one after another in text; none is empty.
struct Pieces {
  std::string text;
  std::vector<size_t> ends;
  bool at_start = true;  // of the whole input, nothing before it

  size_t size() const { return ends.size(); }
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
};

using Normalizer = std::function<Status(std::string* text)>;
using PreTokenizer = std::function<Status(Pieces* pieces)>;

// What becomes of the matches of a split.
enum class SplitBehavior : uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous
};

namespace pre_tokenizers {
// invert: what lies between the matches is taken as the matches.
PreTokenizer Split(Matcher matcher, SplitBehavior behavior, bool invert);
// Each character of the class is a match.
PreTokenizer SplitCharacters(bool (*is_match)(char32_t), SplitBehavior behavior);
// The byte-level alphabet is applied by MapBytes, or by the model itself.
PreTokenizer AddPrefixSpace();
PreTokenizer MapBytes();
enum class Prepend : uint8_t { kAlways, kNever, kFirst };
PreTokenizer Metaspace(std::string replacement, Prepend prepend, bool split);
}  // namespace pre_tokenizers

namespace normalizers {
// What a text may grow to under a normalizer.
size_t MaxBytes(size_t original);
Normalizer UnicodeForm(unicode::Form form);
Normalizer LowerCase();
Normalizer StripAccents();
Normalizer Strip(bool left, bool right);
Normalizer Prepend(std::string prefix);
Normalizer Replace(Matcher matcher, std::string content);
Normalizer MapBytes();
}  // namespace normalizers

// The byte-level alphabet of GPT-2: a printable character for each byte.
namespace byte_level {
void AppendMapped(std::string_view bytes, std::string* out);
// The bytes that a token stands for; false where it has a character outside the alphabet.
bool Unmap(std::string_view token, std::string* bytes);
}  // namespace byte_level

}  // namespace merope

// A text that is cut into pieces, and the steps that cut and rewrite the text. Tokenizer files call
// the steps normalizers and pre-tokenizers. Tokenizer::Encode runs the steps. Steps are immutable,
// so they are safe on any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace merope {

// text holds the pieces one after another. No piece is empty. ends: the end offset of each piece.
struct Pieces {
  std::string text;
  std::vector<size_t> ends;
  bool at_start = true;  // whether text begins at the start of the whole input

  size_t size() const { return ends.size(); }
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
};

using Normalizer = std::function<Status(std::string* text)>;
using PreTokenizer = std::function<Status(Pieces* pieces)>;

// How a split treats its matches.
enum class SplitBehavior : uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous
};

namespace pre_tokenizers {
// invert: the text between the matches counts as the matches.
PreTokenizer Split(Matcher matcher, SplitBehavior behavior, bool invert);
// Each character for which is_match returns true is a match.
PreTokenizer SplitCharacters(bool (*is_match)(char32_t), SplitBehavior behavior);
// MapBytes applies the byte-level alphabet. If the model applies the alphabet itself
// (BpeOptions::byte_level), the steps do not contain MapBytes.
PreTokenizer AddPrefixSpace();
PreTokenizer MapBytes();
enum class Prepend : uint8_t { kAlways, kNever, kFirst };
PreTokenizer Metaspace(std::string replacement, Prepend prepend, bool split);
}  // namespace pre_tokenizers

namespace normalizers {
// The maximum number of bytes that normalizers may make of a text of `original` bytes.
size_t MaxBytes(size_t original);
Normalizer UnicodeForm(unicode::Form form);
Normalizer LowerCase();
Normalizer StripAccents();
Normalizer Strip(bool left, bool right);
Normalizer Prepend(std::string prefix);
Normalizer Replace(Matcher matcher, std::string content);
Normalizer MapBytes();
}  // namespace normalizers

// The byte-level alphabet of GPT-2. The alphabet has one printable character for each byte.
namespace byte_level {
void AppendMapped(std::string_view bytes, std::string* out);
// Sets *bytes to the bytes that the token stands for. Returns false if the token has a character
// outside the alphabet.
bool Unmap(std::string_view token, std::string* bytes);
}  // namespace byte_level

}  // namespace merope

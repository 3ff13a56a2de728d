// The splits that known checkpoints use, as hand-written code on merope's own Unicode tables. This
// code is fast, and all splits use one Unicode version. The readers of tokenizer files make these
// matchers. A matcher is immutable, so it is safe on any thread.
#pragma once

#include <optional>
#include <string_view>

#include "text/regex.h"

namespace merope {

// The split of GPT-2. A match is a contraction, or a run of letters, of numbers or of other
// characters with an optional space before the run, or a run of white space.
Matcher Gpt2Splitter();

// The split of Llama 3 and of similar models. A match has at most max_digits numbers. Contractions
// may be in upper or lower case.
struct Llama3Split {
  size_t max_digits = 3;
  bool long_s = true;  // whether 'ſ is a contraction, as with full case folding
};
Matcher Llama3Splitter(Llama3Split split);

// The split of Tekken and GPT-4o. A word is capital letters followed by small letters. One other
// character may come before the word.
struct CasedSplit {
  size_t max_digits = 3;
  bool contractions = false;  // a word includes the contraction after the word
  bool long_s = true;
  // Letters beyond ASCII are both capital and small, and marks are not letters.
  bool ascii_case = false;
};
Matcher CasedSplitter(CasedSplit split);

// Cuts runs of digits into groups of `length` digits. whole_only: a shorter group at the end of a
// run is not a match.
Matcher DigitRuns(bool (*is_digit)(char32_t), size_t length, bool whole_only);

// Cuts runs of numbers into groups of three, counted from the end of the run. The match of a run's
// first group also includes all text between the previous match and the group.
Matcher TrailingTriples();

// Returns the splitter that does the same as this regular expression. Returns nullopt unless the
// regular expression is exactly one of the known expressions.
std::optional<Matcher> KnownSplitter(std::string_view regex);

}  // namespace merope

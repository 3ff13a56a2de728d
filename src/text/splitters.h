// The splits that known checkpoints use, written by hand on our own Unicode tables: fast, and of
// one Unicode version.
#pragma once

#include <optional>
#include <string_view>

#include "text/regex.h"

namespace merope {

// GPT-2's: contractions, letters, numbers, and the rest, each with a space before it.
Matcher Gpt2Splitter();

// Llama 3's and its kin: numbers in runs of at most max_digits; contractions in either case.
struct Llama3Split {
  size_t max_digits = 3;
  bool long_s = true;  // whether 'ſ is a contraction, as under full case folding
};
Matcher Llama3Splitter(Llama3Split split);

// Tekken's and GPT-4o's: a word is capitals, then small letters; one other character may come
// before it.
struct CasedSplit {
  size_t max_digits = 3;
  bool contractions = false;  // a word takes the contraction after it
  bool long_s = true;
  bool ascii_case = false;  // letters past ASCII are both capital and small; marks are no letters
};
Matcher CasedSplitter(CasedSplit split);

// Runs of digits in groups of length; whole_only: a shorter rest is no match.
Matcher DigitRuns(bool (*is_digit)(char32_t), size_t length, bool whole_only);

// Runs of numbers in groups of three counted from the end of the run; the first group of a run
// comes with all the text before it.
Matcher TrailingTriples();

// The splitter of a regular expression that is known to the letter.
std::optional<Matcher> KnownSplitter(std::string_view regex);

}  // namespace merope

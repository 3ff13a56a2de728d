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

// The splitter of a regular expression that is known to the letter.
std::optional<Matcher> KnownSplitter(std::string_view regex);

}  // namespace merope

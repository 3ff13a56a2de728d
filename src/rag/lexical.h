// The baseline without a model: the sentence that shares the rarest words with the question. Pure
// functions, safe on any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rag/grounding.h"

namespace merope {

// The words of a text: letters and digits, in lower case and without accents; each Chinese or
// Japanese character is a word.
std::vector<std::string> WordsOf(std::string_view text);

// Counts in how many sentences each word stands.
class WordCounts {
 public:
  void Add(std::string_view text);
  // log(1 + n / df): n sentences, df of them with the word, or 1 if none has it.
  double Idf(const std::string& word) const;

 private:
  std::unordered_map<std::string, int64_t> sentences_with_;
  int64_t sentences_ = 0;
};

struct ScoredSentence {
  int64_t source = 0;  // from 1
  TextSpan span = {};
  // The sum of idf over the words that the sentence shares with the question, divided by the sum
  // over all words of the question: 0 to 1.
  double score = 0;
};

// All sentences of the sources, the best first. Equal scores keep the order of the text.
std::vector<ScoredSentence> RankSentences(std::string_view question,
                                          std::span<const std::string> sources,
                                          const WordCounts& counts);

}  // namespace merope

#include "rag/lexical.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/utf8.h"
#include "rag/quote_text.h"
#include "rag/sentences.h"
#include "text/unicode.h"

namespace merope {

std::vector<std::string> WordsOf(std::string_view text) {
  const std::string folded = unicode::Normalize(unicode::LowerCase(text), unicode::Form::kNfd);
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (size_t at = 0; at < folded.size();) {
    const char32_t c = utf8::Next(folded, &at);
    if (IsCjk(c)) {
      end_word();
      utf8::Append(c, &word);
      end_word();
    } else if (unicode::IsLetter(c) || unicode::IsNumber(c)) {
      utf8::Append(c, &word);
    } else if (!unicode::IsMark(c)) {
      end_word();
    }
  }
  end_word();
  return words;
}

std::vector<ScoredSentence> RankSentences(std::string_view question,
                                          std::span<const std::string> sources) {
  const std::vector<std::string> asked = WordsOf(question);
  std::unordered_map<std::string, int64_t> having;  // sentences that have the question's word
  for (const std::string& word : asked) having[word] = 0;
  std::vector<ScoredSentence> ranked;
  std::vector<std::unordered_set<std::string>> words;
  for (size_t i = 0; i < sources.size(); ++i)
    for (const TextSpan& span : SentencesOf(sources[i])) {
      ranked.push_back({.source = static_cast<int64_t>(i) + 1, .span = span});
      std::unordered_set<std::string> found;
      for (std::string& word :
           WordsOf(std::string_view(sources[i]).substr(span.begin, span.end - span.begin)))
        if (having.contains(word)) found.insert(std::move(word));
      for (const std::string& word : found) ++having[word];
      words.push_back(std::move(found));
    }
  const auto n = static_cast<double>(ranked.size());
  std::unordered_map<std::string, double> idf;
  for (const auto& [word, count] : having)
    idf[word] = std::log(1 + n / static_cast<double>(std::max<int64_t>(count, 1)));
  // Sums in the order of the question, so that equal inputs give equal bits.
  std::vector<std::string> distinct;
  for (const std::string& word : asked)
    if (std::ranges::find(distinct, word) == distinct.end()) distinct.push_back(word);
  double all = 0;
  for (const std::string& word : distinct) all += idf[word];
  for (size_t i = 0; i < ranked.size(); ++i) {
    for (const std::string& word : distinct)
      if (words[i].contains(word)) ranked[i].score += idf[word];
    if (all > 0) ranked[i].score /= all;
  }
  std::ranges::stable_sort(ranked, std::greater(), &ScoredSentence::score);
  return ranked;
}

}  // namespace merope

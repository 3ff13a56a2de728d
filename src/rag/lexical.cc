#include "rag/lexical.h"

#include <algorithm>
#include <cmath>
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

void WordCounts::Add(std::string_view text) {
  for (const TextSpan& span : SentencesOf(text)) {
    ++sentences_;
    const std::vector<std::string> words = WordsOf(text.substr(span.begin, span.end - span.begin));
    for (const std::string& word : std::unordered_set(words.begin(), words.end()))
      ++sentences_with_[word];
  }
}

double WordCounts::Idf(const std::string& word) const {
  const auto found = sentences_with_.find(word);
  const int64_t with = found == sentences_with_.end() ? 1 : found->second;
  return std::log(1 + static_cast<double>(sentences_) / static_cast<double>(with));
}

std::vector<ScoredSentence> RankSentences(std::string_view question,
                                          std::span<const std::string> sources,
                                          const WordCounts& counts) {
  std::vector<std::pair<std::string, double>> asked;  // the distinct words, and their idf
  double all = 0;
  for (const std::string& word : WordsOf(question)) {
    if (std::ranges::find(asked, word, &std::pair<std::string, double>::first) != asked.end())
      continue;
    asked.emplace_back(word, counts.Idf(word));
    all += asked.back().second;
  }
  std::vector<ScoredSentence> ranked;
  for (size_t i = 0; i < sources.size(); ++i)
    for (const TextSpan& span : SentencesOf(sources[i])) {
      const std::vector<std::string> words =
          WordsOf(std::string_view(sources[i]).substr(span.begin, span.end - span.begin));
      const std::unordered_set<std::string_view> has(words.begin(), words.end());
      ScoredSentence sentence = {.source = static_cast<int64_t>(i) + 1, .span = span};
      // Sums in the order of the question, so that equal inputs give equal bits.
      for (const auto& [word, idf] : asked)
        if (has.contains(word)) sentence.score += idf / all;
      ranked.push_back(sentence);
    }
  std::ranges::stable_sort(ranked, std::greater(), &ScoredSentence::score);
  return ranked;
}

}  // namespace merope

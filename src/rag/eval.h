// Measures cited answers on questions with known answers: the figures of `merope rag-eval`. Pure
// functions, safe on any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "rag/ask.h"
#include "rag/lexical.h"

namespace merope {

// A line of an evaluation file (tools/make_eval.py writes such files).
struct EvalQuestion {
  std::string id, query;
  std::vector<std::string> sources, answers;
  int64_t source = 0;  // the source with the answer, from 1; 0: none
  std::string quote;   // its sentence that answers; empty: none
  bool answerable = true;
};
// Errors name the file, the line and the field.
Result<std::vector<EvalQuestion>> ReadEvalFile(const std::string& path);

// What a system made of a question.
struct EvalAnswer {
  std::string text;  // without references
  struct Cited {
    int64_t source = 0;  // from 1
    TextSpan span = {};
    std::string text;
  };
  std::vector<Cited> citations = {};
  std::optional<double> score = {};  // how sure the system is that the sources answer
  int64_t tokens = 0;
  double seconds = 0;  // of the whole run, divided by the number of questions
};
EvalAnswer EvalOf(const RagResult& result);
// The lexical baseline: the best two sentences of RankSentences, the better one as the answer.
// counts: of all sources of the file.
EvalAnswer EvalOfLexical(const EvalQuestion& question, const WordCounts& counts);

// With a 95 % interval by bootstrap over questions (1,000 samples, fixed seed).
struct EvalFigure {
  std::string key, label;
  int64_t n = 0;  // questions that count
  double value = 0, low = 0, high = 0;
  bool percent = true;  // else a plain mean
};
// answers: one for each question, in order. A figure without any question is left out.
std::vector<EvalFigure> Evaluate(std::span<const EvalQuestion> questions,
                                 std::span<const EvalAnswer> answers);

// As SQuAD's evaluation does: lower case, no punctuation, no articles, single spaces.
std::string NormalizeAnswer(std::string_view text);
double ExactMatch(std::string_view text, std::span<const std::string> answers);  // 0 or 1
double F1(std::string_view text, std::span<const std::string> answers);  // the best answer's
// Whether the text has the words of an answer, one after the other.
bool ContainsAnswer(std::string_view text, std::span<const std::string> answers);

}  // namespace merope

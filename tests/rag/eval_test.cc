#include "rag/eval.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "rag/eval_run.h"
#include "rag/lexical.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

using Strings = std::vector<std::string>;

TEST(EvalTest, AnswersAreComparedAsSquadDoes) {
  EXPECT_EQ(NormalizeAnswer("  The  U.S. Navy's, an “Ark”\n"), "us navys ark");
  EXPECT_EQ(ExactMatch("the Eiffel Tower!", Strings{"Louvre", "Eiffel tower"}), 1);
  EXPECT_EQ(ExactMatch("Eiffel", Strings{"Eiffel tower"}), 0);
  // Two of three said words are among the four wanted ones.
  EXPECT_DOUBLE_EQ(F1("red green blue", Strings{"red blue black white"}),
                   2 * (2 / 3.0) * (2 / 4.0) / (2 / 3.0 + 2 / 4.0));
  EXPECT_EQ(F1("red red", Strings{"red"}), 2 * 0.5 * 1 / 1.5);  // a word counts once
  EXPECT_EQ(F1("", Strings{"red"}), 0);
  EXPECT_TRUE(ContainsAnswer("It was in 1889, in Paris.", Strings{"1889"}));
  EXPECT_FALSE(ContainsAnswer("It was in 18890.", Strings{"1889"}));
  EXPECT_FALSE(ContainsAnswer("Anything.", Strings{"the"}));  // nothing is left of it
}

EvalQuestion Question(bool answerable) {
  return {
      .id = "q",
      .query = "when was the tower built",
      .sources = {"Bridges are long. Some are old.", "The tower is high. It was built in 1889."},
      .answers = {"1889"},
      .source = answerable ? 2 : 0,
      .quote = answerable ? "It was built in 1889." : "",
      .answerable = answerable};
}

EvalAnswer::Cited Cite(const EvalQuestion& question, int64_t source, const std::string& text) {
  const size_t at = question.sources[static_cast<size_t>(source - 1)].find(text);
  return {.source = source, .span = {at, at + text.size()}, .text = text};
}

const EvalFigure* Find(const std::vector<EvalFigure>& figures, const std::string& key) {
  for (const EvalFigure& figure : figures)
    if (figure.key == key) return &figure;
  return nullptr;
}

TEST(EvalTest, FiguresOfFourAnswers) {
  const EvalQuestion with = Question(true), without = Question(false);
  const std::vector<EvalQuestion> questions = {with, with, with, without};
  std::vector<EvalAnswer> answers(4);
  answers[0] = {
      .text = "1889", .citations = {Cite(with, 2, "built in 1889")}, .score = 0.9, .tokens = 10};
  answers[1] = {.text = "It was built in 1889.",
                .citations = {Cite(with, 2, "The tower"), Cite(with, 2, "It was")},
                .score = 0.2,
                .tokens = 20};
  answers[2] = {.text = "Long ago", .citations = {Cite(with, 1, "Some are old.")}, .score = 0.5};
  answers[2].citations.push_back({.source = 2, .span = {}, .text = "not there"});
  answers[3] = {.text = "none", .score = 0.3};
  const std::vector<EvalFigure> figures = Evaluate(questions, answers);
  const auto value = [&](const char* key) {
    const EvalFigure* figure = Find(figures, key);
    return figure == nullptr ? -1 : figure->value;
  };
  EXPECT_DOUBLE_EQ(value("exact_match"), 1 / 3.0);
  EXPECT_DOUBLE_EQ(value("contains"), 2 / 3.0);
  EXPECT_DOUBLE_EQ(value("right_source"), 2 / 3.0);
  EXPECT_DOUBLE_EQ(value("right_sentence"), 1 / 3.0);
  EXPECT_DOUBLE_EQ(value("right_of_two"), 2 / 3.0);
  EXPECT_DOUBLE_EQ(value("cited"), 3 / 4.0);
  EXPECT_DOUBLE_EQ(value("verbatim"), 4 / 5.0);  // of the citations
  EXPECT_DOUBLE_EQ(value("tokens"), 30 / 4.0);
  EXPECT_DOUBLE_EQ(value("refusal_auroc"), 2 / 3.0);  // 0.9 and 0.5 lie above 0.3
  EXPECT_DOUBLE_EQ(value("refusal_recall"), 0);       // the least score of the others is 0.2
  EXPECT_EQ(Find(figures, "exact_match")->n, 3);
  EXPECT_EQ(Find(figures, "cited")->n, 4);
  for (const EvalFigure& figure : figures) {
    EXPECT_LE(figure.low, figure.value) << figure.key;
    EXPECT_GE(figure.high, figure.value) << figure.key;
  }
}

TEST(EvalTest, RefusalsAtTheGateOfFalseRefusals) {
  std::vector<EvalQuestion> questions(4, Question(true));
  questions.push_back(Question(false));
  questions.push_back(Question(false));
  std::vector<EvalAnswer> answers(6);
  const double scores[] = {0.9, 0.5, 0.8, 0.7, 0.4, 0.6};
  for (size_t i = 0; i < answers.size(); ++i) answers[i].score = scores[i];
  // The gate is the least score of the answerable questions, 0.5: one of two lies below it.
  EXPECT_DOUBLE_EQ(Find(Evaluate(questions, answers), "refusal_recall")->value, 1 / 2.0);
}

TEST(EvalTest, FiguresWithoutQuestionsAreLeftOut) {
  const std::vector<EvalQuestion> questions = {Question(false)};
  const std::vector<EvalFigure> figures = Evaluate(questions, std::vector<EvalAnswer>(1));
  EXPECT_EQ(Find(figures, "exact_match"), nullptr);
  EXPECT_EQ(Find(figures, "refusal_auroc"), nullptr);
  EXPECT_EQ(Find(figures, "cited")->value, 0);
  EXPECT_EQ(Find(figures, "verbatim")->value, 0);
}

TEST(EvalTest, TheLexicalBaseline) {
  EvalQuestion question = Question(true);
  WordCounts counts;
  for (const std::string& source : question.sources) counts.Add(source);
  // "the" and "tower" against "was" and "built": equal, so the order of the text decides.
  EvalAnswer answer = EvalOfLexical(question, counts);
  EXPECT_EQ(answer.text, "The tower is high.");
  ASSERT_EQ(answer.citations.size(), 2U);
  EXPECT_EQ(answer.citations[1].text, "It was built in 1889.");
  // A word that is common elsewhere weighs less.
  for (int i = 0; i < 10; ++i) counts.Add("The tower.");
  answer = EvalOfLexical(question, counts);
  EXPECT_EQ(answer.text, "It was built in 1889.");
  EXPECT_GT(*answer.score, 0);
  EXPECT_LT(*answer.score, 1);
  question.sources = {"", " "};
  answer = EvalOfLexical(question, counts);
  EXPECT_TRUE(answer.citations.empty() && answer.text.empty());
  EXPECT_EQ(answer.score, 0);
}

TEST(EvalTest, FilesAreReadAndErrorsNameTheLine) {
  const TempDir dir;
  const auto read = [&dir](const std::string& text) {
    std::ofstream(dir.File("q.jsonl")) << text;
    return ReadEvalFile(dir.File("q.jsonl"));
  };
  const auto good = read(
      "{\"id\": \"a\", \"query\": \"q\", \"sources\": [{\"text\": \"s\"}], \"answers\": [\"x\"], "
      "\"source\": 1, \"quote\": \"s\", \"answerable\": true}\n\n"
      "{\"query\": \"q\", \"sources\": [], \"answers\": [], \"source\": null, \"quote\": null}");
  ASSERT_TRUE(good) << good.error().message;
  ASSERT_EQ(good->size(), 2U);
  EXPECT_EQ((*good)[0].source, 1);
  EXPECT_EQ((*good)[1].source, 0);
  const auto message = [&](const std::string& text) {
    const auto result = read(text);
    return result ? "" : result.error().message;
  };
  EXPECT_NE(message("\n").find("expected a question on each line"), std::string::npos);
  EXPECT_NE(message("\n[]").find("line 2"), std::string::npos);
  EXPECT_NE(message("{\"query\": 1}").find("query"), std::string::npos);
  EXPECT_NE(message("{\"query\": \"q\", \"sources\": [\"s\"]}")
                .find("sources: expected objects with a string \"text\", found string"),
            std::string::npos);
  EXPECT_NE(message("{\"query\": \"q\", \"sources\": [{\"text\": \"s\"}], \"answers\": [1]}")
                .find("answers"),
            std::string::npos);
  EXPECT_NE(message("{\"query\": \"q\", \"sources\": [{\"text\": \"s\"}], \"answers\": [], "
                    "\"source\": 2}")
                .find("source"),
            std::string::npos);
}

}  // namespace
}  // namespace merope

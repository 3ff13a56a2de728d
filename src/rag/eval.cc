#include "rag/eval.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <random>
#include <unordered_map>
#include <utility>

#include "base/json.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace merope {
namespace {

constexpr int kBootstrapSamples = 1000;
constexpr uint64_t kBootstrapSeed = 1;
constexpr double kFalseRefusals = 0.05;

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) words.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

Result<std::vector<std::string>> Texts(const JsonFields& fields, const char* name,
                                       bool in_objects) {
  std::vector<std::string> texts;
  const Json* list = fields.Find(name);
  if (list == nullptr || !list->is_array())
    return FieldErr(fields.Path(name), "expected an array, found {}",
                    list == nullptr ? "none" : list->type_name());
  for (const Json& item : *list) {
    const Json* text = &item;
    if (in_objects) text = item.is_object() && item.contains("text") ? &item["text"] : nullptr;
    if (text == nullptr || !text->is_string())
      return FieldErr(fields.Path(name), "expected {}, found {}",
                      in_objects ? "objects with a string \"text\"" : "strings",
                      text == nullptr ? item.type_name() : text->type_name());
    texts.push_back(text->get<std::string>());
  }
  return texts;
}

Result<EvalQuestion> ReadQuestion(const Json& line, const std::string& where) {
  if (!line.is_object()) return Err("{}: expected an object, found {}", where, line.type_name());
  const JsonFields fields(line, where);
  EvalQuestion question;
  TRY_ASSIGN(const auto id, fields.String("id"));
  TRY_ASSIGN(const auto query, fields.String("query"));
  TRY_ASSIGN(const auto quote, fields.String("quote"));
  TRY_ASSIGN(const auto answerable, fields.Bool("answerable"));
  if (!query) return FieldErr(fields.Path("query"), "expected a question, found none");
  TRY_ASSIGN(question.sources, Texts(fields, "sources", true));
  TRY_ASSIGN(question.answers, Texts(fields, "answers", false));
  TRY_ASSIGN(const auto source, fields.Integer("source", 1, std::ssize(question.sources)));
  question.id = id.value_or("");
  question.query = *query;
  question.quote = quote.value_or("");
  question.source = source.value_or(0);
  question.answerable = answerable.value_or(true);
  return question;
}

// Whether a citation touches the sentence that answers.
bool IsRightSentence(const EvalQuestion& question, const EvalAnswer::Cited& cited) {
  if (cited.source != question.source || question.quote.empty()) return false;
  const size_t at = question.sources[static_cast<size_t>(question.source - 1)].find(question.quote);
  return at != std::string::npos && cited.span.begin < at + question.quote.size() &&
         cited.span.end > at;
}

bool Stands(const EvalQuestion& question, const EvalAnswer::Cited& cited) {
  return cited.source >= 1 && cited.source <= std::ssize(question.sources) &&
         question.sources[static_cast<size_t>(cited.source - 1)].contains(cited.text);
}

// The values of the questions that count: one each, or for a share of citations a sum and a count.
struct Sample {
  double sum = 0, weight = 1;
};

EvalFigure MeanFigure(std::string key, std::string label, const std::vector<Sample>& samples,
                      bool percent) {
  const auto mean = [&samples](auto&& index) {
    double sum = 0, weight = 0;
    for (size_t i = 0; i < samples.size(); ++i) {
      const Sample& one = samples[index(i)];
      sum += one.sum;
      weight += one.weight;
    }
    return weight == 0 ? 0.0 : sum / weight;
  };
  EvalFigure figure = {.key = std::move(key),
                       .label = std::move(label),
                       .n = std::ssize(samples),
                       .percent = percent};
  figure.value = mean([](size_t i) { return i; });
  std::mt19937_64 random(kBootstrapSeed);
  std::vector<double> means;
  for (int sample = 0; sample < kBootstrapSamples; ++sample)
    means.push_back(mean([&](size_t) { return random() % samples.size(); }));
  std::ranges::sort(means);
  figure.low = means[static_cast<size_t>(0.025 * kBootstrapSamples)];
  figure.high = means[static_cast<size_t>(0.975 * kBootstrapSamples) - 1];
  return figure;
}

// The probability that an answerable question has a higher score than an unanswerable one.
double Auroc(const std::vector<double>& with, const std::vector<double>& without) {
  double above = 0;
  for (const double a : with)
    for (const double b : without) above += a > b ? 1 : a == b ? 0.5 : 0;
  return above / (static_cast<double>(with.size()) * static_cast<double>(without.size()));
}

// The share of unanswerable questions below the score that refuses 5 % of the answerable ones.
double RefusedAt(std::vector<double> with, const std::vector<double>& without) {
  std::ranges::sort(with);
  const double gate = with[static_cast<size_t>(kFalseRefusals * static_cast<double>(with.size()))];
  return static_cast<double>(
             std::ranges::count_if(without, [gate](double b) { return b < gate; })) /
         static_cast<double>(without.size());
}

}  // namespace

Result<std::vector<EvalQuestion>> ReadEvalFile(const std::string& path) {
  TRY_ASSIGN(const std::string text, ReadFile(path));
  std::vector<EvalQuestion> questions;
  int64_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view one = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++line;
    if (one.find_first_not_of(" \t\r") == one.npos) continue;
    const std::string where = fmt::format("{}: line {}", path, line);
    TRY_ASSIGN(const Json json, ParseJson(one, where));
    TRY_ASSIGN(EvalQuestion question, ReadQuestion(json, where));
    questions.push_back(std::move(question));
  }
  if (questions.empty()) return Err("{}: expected a question on each line, found none", path);
  return questions;
}

EvalAnswer EvalOf(const RagResult& result) {
  EvalAnswer answer = {.text = result.answer.clean_answer};
  for (int64_t n = std::ssize(result.answer.citations); n > 0; --n) {
    const std::string mark = fmt::format("[{}]", n);
    const size_t at = answer.text.rfind(mark);
    if (at != std::string::npos) answer.text.erase(at, mark.size());
  }
  for (const Citation& one : result.answer.citations)
    answer.citations.push_back(
        {one.grounding.source, one.grounding.pieces.front(), one.cited_text});
  answer.tokens = std::ssize(result.ids);
  answer.seconds = result.token_times.empty() ? 0 : result.token_times.back();
  return answer;
}

EvalAnswer EvalOfLexical(const EvalQuestion& question, const WordCounts& counts) {
  const std::vector<ScoredSentence> ranked =
      RankSentences(question.query, question.sources, counts);
  EvalAnswer answer;
  for (size_t i = 0; i < std::min<size_t>(ranked.size(), 2); ++i) {
    const std::string& source = question.sources[static_cast<size_t>(ranked[i].source - 1)];
    const TextSpan span = ranked[i].span;
    answer.citations.push_back(
        {ranked[i].source, span, source.substr(span.begin, span.end - span.begin)});
  }
  if (!ranked.empty()) answer.text = answer.citations.front().text;
  answer.score = ranked.empty() ? 0 : ranked.front().score;
  return answer;
}

std::string NormalizeAnswer(std::string_view text) {
  std::string kept;
  const std::string lower = unicode::LowerCase(text);
  for (size_t at = 0; at < lower.size();) {
    const char32_t c = utf8::Next(lower, &at);
    if (!unicode::IsPunctuation(c)) utf8::Append(unicode::IsWhiteSpace(c) ? U' ' : c, &kept);
  }
  std::string normal;
  for (const std::string& word : Split(kept)) {
    if (word == "a" || word == "an" || word == "the") continue;
    if (!normal.empty()) normal += ' ';
    normal += word;
  }
  return normal;
}

double ExactMatch(std::string_view text, std::span<const std::string> answers) {
  const std::string normal = NormalizeAnswer(text);
  return std::ranges::any_of(
      answers, [&](const std::string& answer) { return NormalizeAnswer(answer) == normal; });
}

double F1(std::string_view text, std::span<const std::string> answers) {
  const std::vector<std::string> said = Split(NormalizeAnswer(text));
  double best = 0;
  for (const std::string& answer : answers) {
    const std::vector<std::string> wanted = Split(NormalizeAnswer(answer));
    std::unordered_map<std::string, int64_t> left;
    for (const std::string& word : wanted) ++left[word];
    double common = 0;
    for (const std::string& word : said)
      if (left[word]-- > 0) ++common;
    if (common == 0) continue;
    const double precision = common / static_cast<double>(said.size());
    const double recall = common / static_cast<double>(wanted.size());
    best = std::max(best, 2 * precision * recall / (precision + recall));
  }
  return best;
}

bool ContainsAnswer(std::string_view text, std::span<const std::string> answers) {
  const std::string normal = fmt::format(" {} ", NormalizeAnswer(text));
  return std::ranges::any_of(answers, [&](const std::string& answer) {
    const std::string wanted = NormalizeAnswer(answer);
    return !wanted.empty() && normal.contains(fmt::format(" {} ", wanted));
  });
}

std::vector<EvalFigure> Evaluate(std::span<const EvalQuestion> questions,
                                 std::span<const EvalAnswer> answers) {
  CHECK(questions.size() == answers.size());
  std::vector<EvalFigure> figures;
  const auto add = [&](const char* key, const char* label, bool only_answerable, bool percent,
                       const std::function<Sample(const EvalQuestion&, const EvalAnswer&)>& of) {
    std::vector<Sample> samples;
    for (size_t i = 0; i < questions.size(); ++i)
      if (questions[i].answerable || !only_answerable)
        samples.push_back(of(questions[i], answers[i]));
    if (!samples.empty()) figures.push_back(MeanFigure(key, label, samples, percent));
  };
  const auto any = [](const EvalQuestion& q, const EvalAnswer& a, int64_t most, auto&& is) {
    const int64_t n = std::min(most, std::ssize(a.citations));
    return Sample{std::any_of(a.citations.begin(), a.citations.begin() + n,
                              [&](const auto& one) { return is(q, one); })
                      ? 1.0
                      : 0.0};
  };
  const auto right_source = [](const EvalQuestion& q, const EvalAnswer::Cited& one) {
    return one.source == q.source;
  };
  add("exact_match", "Exact match", true, true,
      [](const auto& q, const auto& a) { return Sample{ExactMatch(a.text, q.answers)}; });
  add("f1", "F1", true, true,
      [](const auto& q, const auto& a) { return Sample{F1(a.text, q.answers)}; });
  add("contains", "Answer contains gold", true, true, [](const auto& q, const auto& a) {
    return Sample{ContainsAnswer(a.text, q.answers) ? 1.0 : 0.0};
  });
  add("right_source", "Right source", true, true,
      [&](const auto& q, const auto& a) { return any(q, a, 1, right_source); });
  add("right_sentence", "Right sentence", true, true,
      [&](const auto& q, const auto& a) { return any(q, a, 1, IsRightSentence); });
  add("right_of_two", "Right sentence among two", true, true,
      [&](const auto& q, const auto& a) { return any(q, a, 2, IsRightSentence); });
  add("cited", "Answers with a citation", false, true,
      [](const auto&, const auto& a) { return Sample{a.citations.empty() ? 0.0 : 1.0}; });
  add("verbatim", "Verbatim citations", false, true, [](const auto& q, const auto& a) {
    Sample sample = {.sum = 0, .weight = static_cast<double>(a.citations.size())};
    for (const auto& one : a.citations) sample.sum += Stands(q, one) ? 1 : 0;
    return sample;
  });
  add("tokens", "Tokens a question", false, false,
      [](const auto&, const auto& a) { return Sample{static_cast<double>(a.tokens)}; });
  // No interval: the seconds of a run, in equal shares.
  const double seconds = answers.empty() ? 0 : answers.front().seconds;
  figures.push_back({.key = "seconds",
                     .label = "Time a question",
                     .n = std::ssize(answers),
                     .value = seconds,
                     .low = seconds,
                     .high = seconds,
                     .percent = false});

  std::vector<double> with, without;
  for (size_t i = 0; i < questions.size(); ++i)
    if (answers[i].score) (questions[i].answerable ? with : without).push_back(*answers[i].score);
  if (with.empty() || without.empty()) return figures;
  const auto of_samples = [&](const char* key, const char* label, const auto& statistic) {
    EvalFigure figure = {.key = key,
                         .label = label,
                         .n = std::ssize(with) + std::ssize(without),
                         .value = statistic(with, without)};
    std::mt19937_64 random(kBootstrapSeed);
    std::vector<double> values;
    std::vector<double> a(with.size()), b(without.size());
    for (int sample = 0; sample < kBootstrapSamples; ++sample) {
      for (double& one : a) one = with[random() % with.size()];
      for (double& one : b) one = without[random() % without.size()];
      values.push_back(statistic(a, b));
    }
    std::ranges::sort(values);
    figure.low = values[static_cast<size_t>(0.025 * kBootstrapSamples)];
    figure.high = values[static_cast<size_t>(0.975 * kBootstrapSamples) - 1];
    figures.push_back(std::move(figure));
  };
  of_samples("refusal_auroc", "Refusal AUROC", Auroc);
  of_samples("refusal_recall", "Refused at 5 % false refusals", RefusedAt);
  return figures;
}

}  // namespace merope

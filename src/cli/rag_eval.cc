// merope rag-eval: measures cited answers on questions with known answers.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/stopwatch.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "rag/eval.h"
#include "rag/eval_run.h"

namespace merope {
namespace {

struct RagEvalArguments {
  ModelOptions model;
  std::string data;
  int64_t limit = 0;
  std::optional<int64_t> max_tokens;
  std::string quotes = "verbatim";
  bool fast = false, baseline = false, plain = false, json = false;
};

// One system's figures on all questions that it answered.
struct EvalSystem {
  std::string name;
  std::vector<EvalFigure> figures;
};

EvalSystem LexicalSystem(const std::vector<EvalQuestion>& questions) {
  const Stopwatch watch;
  WordCounts counts;
  std::set<std::string_view> counted;
  for (const EvalQuestion& question : questions)
    for (const std::string& source : question.sources)
      if (counted.insert(source).second) counts.Add(source);
  std::vector<EvalAnswer> answers;
  for (const EvalQuestion& question : questions) answers.push_back(EvalOfLexical(question, counts));
  for (EvalAnswer& answer : answers)
    answer.seconds = watch.Seconds() / static_cast<double>(answers.size());
  return {"lexical", Evaluate(questions, answers)};
}

// Returns the systems that the model makes: itself, and with --plain its chat form.
Result<std::vector<EvalSystem>> ModelSystems(const RagEvalArguments& arguments,
                                             const std::vector<EvalQuestion>& questions,
                                             const Interrupt& interrupt) {
  ModelOptions options = arguments.model;
  options.many = true;
  TRY_ASSIGN(const LoadedModel loaded, LoadAndSay(options));
  TRY_ASSIGN(const RagModel model, RagModel::Make(loaded));
  Engine engine(loaded.model(), loaded.tokenizer, options.engine);
  const bool both = arguments.plain && model.protocol() != RagProtocol::kNone;
  std::vector<EvalSystem> systems;
  for (const bool plain : {false, true}) {
    if (plain && (!both || interrupt.raised())) break;
    EvalRunOptions run = {.fast = arguments.fast,
                          .plain = plain,
                          .together = options.engine.max_num_seqs,
                          .interrupted = &interrupt.raised()};
    run.ask.quotes = *ParseQuoteMode(arguments.quotes);
    run.ask.params.max_tokens = arguments.max_tokens;
    run.ask.params.temperature = 0;
    ProgressBar bar("questions");
    run.progress = [&bar](int64_t done, int64_t total) { bar.Update(done, total); };
    TRY_ASSIGN(const std::vector<EvalAnswer> answers,
               AnswerQuestions(engine, model, questions, run));
    if (answers.empty()) break;
    const std::string name = plain || model.protocol() == RagProtocol::kNone ? "plain" : "model";
    systems.push_back({name, Evaluate(std::span(questions).first(answers.size()), answers)});
  }
  return systems;
}

std::string EvalCell(const EvalFigure& figure) {
  if (figure.key == "seconds")
    return figure.value < 0.1 ? fmt::format("{:.3g} ms", 1e3 * figure.value)
                              : fmt::format("{:.3g} s", figure.value);
  const auto one = [&figure](double value) {
    return figure.percent ? fmt::format("{:.1f}", 100 * value) : fmt::format("{:.3g}", value);
  };
  std::string cell = one(figure.value);
  if (figure.percent) cell += " %";
  if (figure.low < figure.high) cell += fmt::format(" [{}, {}]", one(figure.low), one(figure.high));
  return cell;
}

// A Markdown table with a row for each figure that a system has.
std::string EvalTable(const std::vector<EvalSystem>& systems, size_t questions) {
  std::vector<std::pair<std::string, std::string>> rows;  // key, label
  for (const EvalSystem& system : systems)
    for (const EvalFigure& figure : system.figures)
      if (const std::pair row{figure.key, figure.label}; !std::ranges::count(rows, row))
        rows.push_back(row);
  std::string table = fmt::format("| {} questions |", questions);
  std::string line = "\n|---|";
  for (const EvalSystem& system : systems) {
    table += fmt::format(" {} |", system.name);
    line += "---|";
  }
  table += line + "\n";
  for (const auto& [key, label] : rows) {
    table += fmt::format("| {} |", label);
    for (const EvalSystem& system : systems) {
      const auto found = std::ranges::find(system.figures, key, &EvalFigure::key);
      table += fmt::format(" {} |", found == system.figures.end() ? "" : EvalCell(*found));
    }
    table += "\n";
  }
  return table;
}

OrderedJson EvalToJson(const RagEvalArguments& arguments, const std::vector<EvalSystem>& systems,
                       const std::vector<EvalQuestion>& questions) {
  OrderedJson json = {
      {"data", arguments.data},
      {"questions", questions.size()},
      {"answerable", std::ranges::count(questions, true, &EvalQuestion::answerable)},
      {"systems", OrderedJson::array()}};
  for (const EvalSystem& system : systems) {
    OrderedJson figures = OrderedJson::object();
    for (const EvalFigure& f : system.figures)
      figures[f.key] = {
          {"label", f.label}, {"n", f.n}, {"value", f.value}, {"interval", {f.low, f.high}}};
    json["systems"].push_back({{"name", system.name}, {"figures", figures}});
  }
  return json;
}

Result<int> RagEval(const RagEvalArguments& arguments) {
  TRY_ASSIGN(std::vector<EvalQuestion> questions, ReadEvalFile(arguments.data));
  if (arguments.limit > 0 && arguments.limit < std::ssize(questions))
    questions.resize(static_cast<size_t>(arguments.limit));
  const Interrupt interrupt;
  std::vector<EvalSystem> systems = {LexicalSystem(questions)};
  if (!arguments.model.load.path.empty() && !arguments.baseline) {
    TRY_ASSIGN(const std::vector<EvalSystem> more, ModelSystems(arguments, questions, interrupt));
    systems.insert(systems.end(), more.begin(), more.end());
  }
  TRY(WriteOutput(arguments.json ? JsonLine(EvalToJson(arguments, systems, questions))
                                 : EvalTable(systems, questions.size())));
  return interrupt.raised() ? kExitInterrupted : 0;
}

}  // namespace

void AddRagEval(CLI::App& app, Action* chosen) {
  CLI::App* eval =
      app.add_subcommand("rag-eval", "Measure cited answers on questions with known answers");
  auto a = std::make_shared<RagEvalArguments>();
  a->model.engine.max_num_seqs = 8;
  AddOptionalModel(*eval, &a->model.load.path, "DATA", &a->data,
                   "Without MODEL, only the lexical baseline is measured. DATA is a file of "
                   "questions, one JSON object per line: {\"id\", \"query\", \"sources\": "
                   "[{\"text\"}], \"answers\": [string], \"source\": number of the source with the "
                   "answer, from 1, or null, \"quote\": its sentence that answers or null, "
                   "\"answerable\": bool}");
  AddLoadOptions(*eval, &a->model);
  AddEngineOptions(*eval, &a->model);
  eval->add_option("--limit", a->limit, "Only the first questions; 0: all")
      ->check(AtLeast(0))
      ->capture_default_str();
  eval->add_flag("--baseline", a->baseline, "Only the lexical baseline, which needs no model");
  eval->add_flag("--plain", a->plain,
                 "Also ask a model that has a protocol for sources in its chat form, with one "
                 "instruction, as models without a protocol are asked");
  eval->add_flag("--fast", a->fast, "Pleias-RAG: answer at once, without an analysis before");
  eval->add_option("--quotes", a->quotes, "verbatim, check or off, as in merope ask")
      ->check(Parses(ParseQuoteMode))
      ->capture_default_str();
  eval->add_option("--max-tokens", a->max_tokens, "Maximum number of tokens of an answer")
      ->check(AtLeast(1));
  eval->add_flag("--json", a->json, "Print one JSON object");
  eval->footer(
      "The lexical baseline answers with the sentence that shares the rarest words with the\n"
      "question; words are counted in all sources of DATA. Brackets hold 95 % intervals (bootstrap "
      "over questions).\n"
      "docs/cited-answers.md defines the figures.\n\n"
      "Examples:\n"
      "  merope rag-eval questions.jsonl\n"
      "  merope rag-eval SmolLM2-135M-Instruct.gguf questions.jsonl --limit 100");
  eval->callback([a, chosen] { *chosen = [a] { return RagEval(*a); }; });
}

}  // namespace merope

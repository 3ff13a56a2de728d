#include "rag/ask.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "base/utf8.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "engine/generate.h"
#include "rag/answer_json.h"

namespace merope {
namespace {

struct AskArguments {
  ModelOptions model;
  std::string question, quotes = "verbatim";
  std::optional<std::string> cite;
  std::vector<std::string> sources;  // paths
  bool fast = false, trace = false, json = false;
  std::optional<double> temperature;
  std::optional<int64_t> seed;
  std::optional<int64_t> max_tokens;
};

AskOptions OptionsOf(const AskArguments& arguments) {
  AskOptions options;
  options.params.temperature = arguments.temperature.value_or(0);
  options.params.seed = arguments.seed;
  options.params.max_tokens = arguments.max_tokens;
  options.quotes = *ParseQuoteMode(arguments.quotes);
  if (arguments.cite) options.cite = *ParseCiteRule(*arguments.cite);
  return options;
}

Result<std::vector<std::string>> ReadSources(const std::vector<std::string>& paths) {
  std::vector<std::string> texts;
  for (const std::string& path : paths) {
    TRY_ASSIGN(std::string text, path == "-" ? ReadInput() : ReadFile(path));
    if (const size_t valid = utf8::ValidPrefix(text); valid != text.size())
      return Err("{}: expected UTF-8, found another byte at {}", path, valid);
    texts.push_back(std::move(text));
  }
  return texts;
}

int64_t Line(std::string_view text, size_t at) {
  return 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
}

// The list below an answer: each citation with its file and line.
std::string CitationList(const RagResult& result, const std::vector<std::string>& names) {
  std::string list;
  for (const Citation& one : result.answer.citations) {
    const auto source = static_cast<size_t>(one.grounding.source - 1);
    list += fmt::format("[{}] {}, line {}: \"{}\"\n", one.number, names[source],
                        Line(result.prompt.sources[source], one.grounding.pieces.front().begin),
                        one.cited_text);
  }
  for (const Citation& one : result.answer.unsupported)
    list += fmt::format("[unsupported] source {}, {}: \"{}\"\n", one.cited_source,
                        QuoteVerdictName(one.grounding.verdict), one.quote);
  return list;
}

// Prints the answer while it grows. With --trace, also the sections before it, each with its name.
class AnswerWriter {
 public:
  explicit AnswerWriter(bool trace) : trace_(trace) {}

  bool Write(const std::vector<TraceEvent>& events) {
    for (const TraceEvent& event : events) {
      const bool answer = event.section == Section::kAnswer;
      if (!answer && !trace_) continue;
      if (event.kind == TraceEvent::Kind::kOpen && trace_)
        Put(fmt::format("{}[{}]\n", wrote_ ? "\n\n" : "", SectionName(event.section)));
      if (event.kind == TraceEvent::Kind::kText) Put(event.text);
    }
    return written_ && *written_;
  }
  void Put(std::string_view text) {
    if (text.empty() || !written_ || !*written_) return;
    written_ = WriteOutput(text);
    wrote_ = true;
  }
  const Result<bool>& written() const { return written_; }
  bool wrote() const { return wrote_; }

 private:
  bool trace_, wrote_ = false;
  Result<bool> written_ = true;
};

Result<int> Ask(const AskArguments& arguments) {
  TRY_ASSIGN(const std::vector<std::string> sources, ReadSources(arguments.sources));
  TRY_ASSIGN(const LoadedModel loaded, LoadAndSay(arguments.model));
  TRY_ASSIGN(const RagModel model, RagModel::Make(loaded));
  const RagQuestion question = {arguments.question, sources, arguments.fast};
  TRY_ASSIGN(RagJob job, model.Prepare(question, OptionsOf(arguments)));
  const RagPrompt& prompt = job.result().prompt;
  if (model.protocol() == RagProtocol::kNone)
    Say("the model has no protocol for sources: it is asked in its chat form, with an instruction");
  if (prompt.cut)
    Say("{} was cut after a sentence: the sources do not fit into the context of {} tokens",
        arguments.sources[prompt.sources.size() - 1], loaded.model().max_model_len());
  for (size_t i = prompt.sources.size(); i < sources.size(); ++i)
    Say("{} was left out: it does not fit into the context of {} tokens", arguments.sources[i],
        loaded.model().max_model_len());

  const Interrupt interrupt;
  AnswerWriter writer(arguments.trace);
  Engine engine(loaded.model(), loaded.tokenizer, arguments.model.engine);
  TRY_ASSIGN(const GenerateResult generated, Generate(
                                                 engine, job.TakeRequest(),
                                                 [&](const Event& event) {
                                                   const std::vector<TraceEvent> news =
                                                       job.Read(event);
                                                   return arguments.json || writer.Write(news);
                                                 },
                                                 &interrupt.raised()));
  const RagResult& result = job.result();
  if (arguments.json) {
    writer.Put(JsonLine(AnswerToJson(question, result, arguments.sources)));
  } else {
    const std::string list = CitationList(result, arguments.sources);
    if (writer.wrote()) writer.Put(list.empty() ? "\n" : "\n\n");
    writer.Put(list);
  }
  if (!writer.written()) return std::unexpected(writer.written().error());
  if (!*writer.written()) return 0;
  const std::vector<double>& times = result.token_times;
  Say("{}; {} tokens of prompt, {} generated{}; {} of them forced to quote",
      AnswerStateName(result.answer.state), prompt.ids.size(), result.ids.size(),
      times.empty() ? "" : fmt::format(" in {:.2f} s", times.back()), result.forced);
  return interrupt.raised() ? kExitInterrupted : 0;
}

}  // namespace

void AddAsk(CLI::App& app, Action* chosen) {
  CLI::App* ask = app.add_subcommand("ask", "Answer a question from sources, with checked quotes");
  auto a = std::make_shared<AskArguments>();
  AddModelOptions(*ask, &a->model);
  AddText(*ask, "QUESTION", &a->question, "Question")->required();
  AddTexts(
      *ask, "--source", &a->sources,
      "File with a source, as UTF-8 text; repeat the option for more sources; - reads standard "
      "input")
      ->required();
  ask->add_option(
         "--quotes", a->quotes,
         "verbatim: the model can only quote what the sources say; check: the model writes "
         "freely, and quotes that the sources do not have are not shown; off: raw text "
         "without citations")
      ->check(Parses(ParseQuoteMode))
      ->capture_default_str();
  ask->add_option("--cite", a->cite,
                  "With verbatim quotes: free (the model cites where it wants to) or once (the "
                  "first sentence ends in a quote). Default: free for a model with a protocol for "
                  "sources, once for another one.")
      ->check(Parses(ParseCiteRule));
  ask->add_flag("--fast", a->fast, "Pleias-RAG: answer at once, without an analysis before");
  ask->add_flag("--trace", a->trace, "Also print the model's analysis");
  ask->add_option("--max-tokens", a->max_tokens,
                  fmt::format("Maximum number of tokens to generate (default: {} with an analysis, "
                              "{} without, at most half of the context)",
                              kDefaultTraceTokens, kDefaultAnswerTokens))
      ->check(AtLeast(1));
  ask->add_option("--temperature", a->temperature,
                  "Sampling temperature; 0 takes the most probable token (default)")
      ->check(CLI::NonNegativeNumber);
  ask->add_option("--seed", a->seed, "Seed that makes sampling repeatable");
  ask->add_flag("--json", a->json, "Print one JSON object at the end");
  ask->footer(
      "A quote is shown only if its source has it. [unsupported] stands in the place of any other\n"
      "one. docs/cited-answers.md says how quotes are compared.\n\n"
      "Example: merope ask SmolLM2-135M-Instruct.gguf \"How tall is it?\" --source tower.txt");
  ask->callback([a, chosen] { *chosen = [a] { return Ask(*a); }; });
}

}  // namespace merope

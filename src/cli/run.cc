#include <algorithm>
#include <cctype>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>

#include "base/json.h"
#include "base/mapped_file.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "engine/generate.h"
#include "engine/load.h"
#include "grammar/grammar_compiler.h"
#include "prompt/encode_prompt.h"

namespace merope {
namespace {

constexpr int64_t kDefaultMaxTokens = 512;

struct RunArguments {
  ModelOptions model;
  std::string prompt, system;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k, max_tokens;
  SamplingParams params;
  StructuredOutputs structured;
  std::optional<std::string> json_schema;  // a JSON schema, or the path of a file with a schema
  bool chat = false, json = false;
  std::optional<std::tm> date;
};

// Values from the command line, else from the checkpoint's generation defaults. The defaults never
// turn sampling on: without --temperature, decoding is greedy, so that a run can be repeated.
SamplingParams Params(const RunArguments& arguments, const GenerationDefaults& defaults) {
  SamplingParams params = arguments.params;
  const int64_t length =
      arguments.max_tokens.value_or(defaults.max_new_tokens.value_or(kDefaultMaxTokens));
  params.max_tokens = length == -1 ? std::nullopt : std::optional(length);
  params.temperature = arguments.temperature.value_or(0);
  params.top_p = arguments.top_p.value_or(defaults.top_p.value_or(1));
  params.min_p = arguments.min_p.value_or(defaults.min_p.value_or(0));
  params.top_k = arguments.top_k.value_or(defaults.top_k.value_or(0));
  params.repetition_penalty =
      arguments.repetition_penalty.value_or(defaults.repetition_penalty.value_or(1));
  if (arguments.json) params.logprobs = 0;
  const StructuredOutputs& structured = arguments.structured;
  if (structured.json || structured.regex || structured.choice || structured.grammar ||
      structured.json_object)
    params.structured_outputs = structured;
  return params;
}

void SayDefaults(const RunArguments& arguments, const GenerationDefaults& defaults) {
  std::string used;
  const auto use = [&used](std::string_view name, const auto& given, const auto& by_default) {
    if (!given && by_default)
      used += fmt::format("{}{} {}", used.empty() ? "" : ", ", name, *by_default);
  };
  if (arguments.temperature.value_or(0) > 0) {
    use("top_p", arguments.top_p, defaults.top_p);
    use("top_k", arguments.top_k, defaults.top_k);
    use("min_p", arguments.min_p, defaults.min_p);
  } else if (defaults.do_sample.value_or(false)) {
    const std::optional<double> temperature = defaults.temperature.value_or(1);
    use("temperature", arguments.temperature, temperature);
    Say("the checkpoint suggests sampling ({}); greedy without --temperature", used);
    used.clear();
  }
  use("max_new_tokens", arguments.max_tokens, defaults.max_new_tokens);
  use("repetition_penalty", arguments.repetition_penalty, defaults.repetition_penalty);
  if (!used.empty()) Say("from the checkpoint's generation defaults: {}", used);
}

// Tells the user if the model is or may be a chat model. Without --chat, the model only continues
// the prompt.
void SayChatHint(const Checkpoint& checkpoint) {
  const auto chat = LoadChatTemplate(checkpoint);
  if (chat && chat->has_value())
    return Say(
        "the checkpoint has a chat template: --chat asks through it; without, the prompt is "
        "continued as it stands");
  std::string name = std::filesystem::path(checkpoint.path()).filename().string();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (chat && (name.contains("instruct") || name.contains("chat")))
    Say("the name says that this is a chat model, but the checkpoint has no chat template: the "
        "prompt is continued as it stands");
}

Result<std::vector<int32_t>> Prompt(const RunArguments& arguments, const LoadedModel& loaded) {
  std::string text = arguments.prompt;
  if (text == "-") {
    TRY_ASSIGN(text, ReadInput());
    if (text.ends_with('\n')) text.pop_back();
  }
  if (!arguments.chat) {
    SayChatHint(loaded.checkpoint);
    return EncodePrompt(loaded.tokenizer, text);
  }
  TRY_ASSIGN(const std::optional<ChatTemplate> chat, LoadChatTemplate(loaded.checkpoint));
  if (!chat)
    return Err("{}: --chat: expected a chat template in the checkpoint, found none",
               loaded.checkpoint.path());
  std::vector<ChatMessage> messages;
  if (!arguments.system.empty()) messages.push_back({"system", arguments.system});
  messages.push_back({"user", text});
  return EncodeChat(loaded.tokenizer, *chat, messages, {.date = arguments.date});
}

// Seconds per token after the first; nullopt for fewer than two tokens.
std::optional<double> Tpot(std::span<const double> times) {
  if (times.size() < 2) return std::nullopt;
  return (times.back() - times.front()) / static_cast<double>(times.size() - 1);
}

std::string ToJson(const LoadedModel& loaded, const GenerateResult& result,
                   const EngineStats& stats) {
  const std::span<const double> times = result.token_times;
  const double total = times.empty() ? 0 : times.back();
  const std::optional<double> tpot = Tpot(times);
  const auto or_null = [](bool known, const auto& value) {
    return known ? OrderedJson(value) : OrderedJson(nullptr);
  };
  const OrderedJson object = {
      {"model", loaded.checkpoint.path()},
      {"dtype", PrecisionName(loaded.backend().precision())},
      {"threads", loaded.runtime.threads},
      {"backend", loaded.backend().name()},
      {"prompt_tokens", result.prompt_tokens},
      {"ids", result.ids},
      {"text", result.text},
      {"logprobs", result.logprobs},
      {"finish_reason", FinishReasonName(result.finish_reason)},
      {"stop_reason", or_null(!result.stop_reason.empty(), result.stop_reason)},
      {"timing",
       {{"load_s", loaded.load_seconds},
        {"ttft_s", or_null(!times.empty(), times.empty() ? 0 : times.front())},
        {"tpot_s", or_null(tpot.has_value(), tpot.value_or(0))},
        {"total_s", total},
        {"tokens_per_second",
         or_null(total > 0, static_cast<double>(times.size()) / (total > 0 ? total : 1))}}},
      {"speculation",
       {{"steps", stats.steps},
        {"proposed", stats.draft_tokens},
        {"accepted", stats.accepted_tokens}}}};
  return DumpJson(object) + "\n";
}

void SaySummary(const GenerateResult& result, const EngineStats& stats) {
  const std::span<const double> times = result.token_times;
  std::string line =
      fmt::format("{} tokens of prompt, {} generated", result.prompt_tokens, result.ids.size());
  if (!times.empty())
    line += fmt::format(" in {:.2f} s; TTFT {:.1f} ms", times.back(), times.front() * 1e3);
  if (const std::optional<double> tpot = Tpot(times))
    line += fmt::format(", TPOT {:.2f} ms ({:.1f} tokens/s)", *tpot * 1e3, 1 / *tpot);
  if (stats.draft_tokens > 0)
    line += fmt::format("; {} of {} proposed tokens accepted, {} steps", stats.accepted_tokens,
                        stats.draft_tokens, stats.steps);
  Say("{}; finish: {}", line, FinishReasonName(result.finish_reason));
}

// Takes a schema that the command line contains. Run reads a schema from a file.
Status TakeSchema(RunArguments* arguments) {
  if (!arguments->json_schema) return {};
  const std::string& value = *arguments->json_schema;
  const size_t begin = value.find_first_not_of(" \t\r\n");
  if (begin == value.npos)
    return Err("json-schema: expected a schema or a file, found \"{}\"", value);
  if (value[begin] == '{' || value == "true" || value == "false")
    arguments->structured.json = value;
  return {};
}

// Checks the values of the options, as far as the checks need neither the model nor a file.
Status Check(const RunArguments& arguments) {
  GenerationDefaults unknown;
  unknown.max_new_tokens = -1;  // no limit, so that every --min-tokens is valid
  SamplingParams params = Params(arguments, unknown);
  if (params.structured_outputs)
    if (const Status valid = CheckGrammar(*params.structured_outputs); !valid) {
      std::string message = valid.error().message;
      if (message.starts_with("json:")) message.insert(4, "-schema");
      return Err("{}", message);
    }
  return Settle(&params, {.vocab_size = std::numeric_limits<int32_t>::max()});
}

Result<int> RunModel(RunArguments arguments) {
  if (arguments.json_schema && !arguments.structured.json) {
    auto schema = ReadFile(*arguments.json_schema);
    if (!schema) return Within("--json-schema", schema.error());
    arguments.structured.json = *std::move(schema);
    if (const Status valid = Check(arguments); !valid) return Err("--{}", valid.error().message);
  }
  TRY_ASSIGN(const LoadedModel loaded, LoadAndSay(arguments.model));
  SayDefaults(arguments, loaded.config().generation);
  TRY_ASSIGN(std::vector<int32_t> prompt, Prompt(arguments, loaded));

  const Interrupt interrupt;
  Result<bool> written = true;
  std::function<bool(const Event&)> stream;
  if (!arguments.json)
    stream = [&written](const Event& event) {
      if (!event.text.empty()) written = WriteOutput(event.text);
      return written && *written;
    };
  Engine engine(loaded.model(), loaded.tokenizer, arguments.model.engine);
  TRY_ASSIGN(const GenerateResult result,
             Generate(engine,
                      {.prompt = std::move(prompt),
                       .params = Params(arguments, loaded.config().generation)},
                      stream, &interrupt.raised()));
  if (written && *written)
    written = WriteOutput(arguments.json ? ToJson(loaded, result, engine.stats())
                                         : (result.text.ends_with('\n') ? "" : "\n"));
  if (!written) return std::unexpected(written.error());
  if (!*written) return 0;
  SaySummary(result, engine.stats());
  return interrupt.raised() ? kExitInterrupted : 0;
}

}  // namespace

void AddRun(CLI::App& app, Action* chosen) {
  CLI::App* run = app.add_subcommand("run", "Generate text from a prompt");
  auto a = std::make_shared<RunArguments>();
  AddModelOptions(*run, &a->model);
  run->add_option("PROMPT", a->prompt,
                  "Prompt; - reads the prompt from standard input, without one final newline")
      ->required();
  run->add_option("--temperature", a->temperature,
                  "Sampling temperature; 0 takes the most probable token (default), a value above "
                  "0 samples");
  run->add_option("--top-p", a->top_p,
                  "Sample among the most probable tokens that together have this probability");
  run->add_option("--top-k", a->top_k,
                  "Sample among this number of most probable tokens (0: all tokens)");
  run->add_option("--min-p", a->min_p,
                  "Sample among the tokens that have at least this share of the probability of the "
                  "most probable token");
  run->add_option("--repetition-penalty", a->repetition_penalty,
                  "Penalty for tokens of the prompt and the answer; a value above 1 makes these "
                  "tokens less probable");
  run->add_option("--presence-penalty", a->params.presence_penalty,
                  "Number to subtract from the logit of each token that was generated before");
  run->add_option("--frequency-penalty", a->params.frequency_penalty,
                  "Number to subtract from the logit of a token once for each time that the token "
                  "was generated");
  run->add_option("--seed", a->params.seed, "Seed that makes sampling repeatable");
  run->add_option("--max-tokens", a->max_tokens,
                  fmt::format("Maximum number of tokens to generate; -1: as many as fit (default: "
                              "the checkpoint's max_new_tokens, otherwise {})",
                              kDefaultMaxTokens));
  run->add_option("--min-tokens", a->params.min_tokens, "Minimum number of tokens to generate");
  AddTexts(*run, "--stop", &a->params.stop,
           "End the answer before this text; repeat the option for more texts");
  auto* form = run->add_option_group("Structured output", "What the answer must be");
  form->set_help_flag();  // no --help of the group, because run has --help
  form->require_option(0, 1);
  AddText(*form, "--json-schema", &a->json_schema,
          "Restrict the answer to JSON that matches this schema: a file with the schema, or the "
          "schema itself, which begins with {");
  form->add_flag("--json-object", a->structured.json_object,
                 "Restrict the answer to a JSON object");
  AddText(*form, "--regex", &a->structured.regex,
          "Restrict the answer to text that matches this regular expression as a whole");
  AddTexts(*form, "--choice", &a->structured.choice,
           "Restrict the answer to this text; repeat the option for other permitted texts");
  AddText(*form, "--grammar", &a->structured.grammar,
          "Restrict the answer to text that matches this EBNF grammar");
  run->add_flag("--chat", a->chat, "Render the prompt as a user's message with the chat template");
  run->add_option("--system", a->system, "System message before the prompt")->needs("--chat");
  AddDateOption(*run, &a->date);
  run->add_flag("--ignore-eos", a->params.ignore_eos, "Continue after an end-of-sequence token");
  run->add_flag("--json", a->json, "Print one JSON object at the end: ids, text, logprobs, timing");
  run->footer(
      "The text goes to standard output while the model generates the text. Everything else goes\n"
      "to standard error. The exit code is 130 after Ctrl-C. If a reader closes the pipe, the\n"
      "command ends with 0 and without a message.\n\n"
      "Example: merope run SmolLM2-135M-Instruct.gguf --chat \"What is the capital of France?\"");
  run->callback([a, chosen] {
    RequireValid(TakeSchema(a.get()));
    RequireValid(Check(*a));
    *chosen = [a] { return RunModel(*a); };
  });
}

}  // namespace merope

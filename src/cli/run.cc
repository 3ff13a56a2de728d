#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "base/progress.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "engine/generate.h"
#include "engine/load.h"

namespace merope {
namespace {

constexpr int64_t kDefaultMaxTokens = 512;

struct RunArguments {
  LoadOptions load;
  std::string dtype = "auto", weights = "auto", kv = "auto", prompt, system;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int64_t> top_k, max_tokens, seed;
  std::vector<std::string> stop;
  bool chat = false, json = false, ignore_eos = false;
};

// A line for people on standard error.
template <class... Args>
void Say(fmt::format_string<Args...> format, Args&&... args) {
  const bool dim = ErrorIsTerminal() && WantColor();
  const std::string line = fmt::format(format, std::forward<Args>(args)...);
  std::fprintf(stderr, "%s%s%s\n", dim ? "\x1b[2m" : "", line.c_str(), dim ? "\x1b[0m" : "");
}

// The command line, then the checkpoint's generation defaults. Those never turn sampling on:
// without --temperature the likeliest token is taken, so that a run can be repeated.
GenerateOptions Options(const RunArguments& arguments, const GenerationDefaults& defaults) {
  GenerateOptions options;
  options.stop = arguments.stop;
  options.ignore_eos = arguments.ignore_eos;
  options.logprobs = arguments.json;
  options.max_tokens =
      arguments.max_tokens.value_or(defaults.max_new_tokens.value_or(kDefaultMaxTokens));
  SamplingParams& sampling = options.sampling;
  sampling.temperature = arguments.temperature.value_or(0);
  sampling.seed = arguments.seed;
  sampling.top_p = arguments.top_p.value_or(defaults.top_p.value_or(sampling.top_p));
  sampling.min_p = arguments.min_p.value_or(defaults.min_p.value_or(sampling.min_p));
  sampling.top_k = arguments.top_k.value_or(defaults.top_k.value_or(sampling.top_k));
  return options;
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
  if (!used.empty()) Say("from the checkpoint's generation defaults: {}", used);
  if (defaults.repetition_penalty.value_or(1) != 1)
    Say("the checkpoint's repetition_penalty {} is not applied", *defaults.repetition_penalty);
}

Result<std::vector<int32_t>> Prompt(const RunArguments& arguments, const LoadedModel& loaded) {
  std::string text = arguments.prompt;
  if (text == "-") {
    TRY_ASSIGN(text, ReadInput());
    if (text.ends_with('\n')) text.pop_back();
  }
  if (!arguments.chat) return EncodePrompt(loaded.tokenizer, text);
  TRY_ASSIGN(const std::optional<ChatTemplate> chat, loaded.checkpoint.LoadChatTemplate());
  if (!chat)
    return Err("{}: --chat: expected a chat template in the checkpoint, found none",
               loaded.checkpoint.path());
  std::vector<ChatMessage> messages;
  if (!arguments.system.empty()) messages.push_back({"system", arguments.system});
  messages.push_back({"user", text});
  const ChatTemplateOptions options{.add_generation_prompt = true,
                                    .bos_token = loaded.checkpoint.bos_token(),
                                    .eos_token = loaded.checkpoint.eos_token()};
  TRY_ASSIGN(const std::string rendered, chat->Render(messages, options));
  return EncodePrompt(loaded.tokenizer, rendered, false);
}

// Seconds per token after the first; nullopt for fewer than two tokens.
std::optional<double> Tpot(std::span<const double> times) {
  if (times.size() < 2) return std::nullopt;
  return (times.back() - times.front()) / static_cast<double>(times.size() - 1);
}

std::string ToJson(const LoadedModel& loaded, const GenerateResult& result) {
  using Json = nlohmann::ordered_json;
  const std::span<const double> times = result.token_times;
  const double total = times.empty() ? 0 : times.back();
  const std::optional<double> tpot = Tpot(times);
  const auto or_null = [](bool known, const auto& value) {
    return known ? Json(value) : Json(nullptr);
  };
  const Json object = {
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
         or_null(total > 0, static_cast<double>(times.size()) / (total > 0 ? total : 1))}}}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void SaySummary(const GenerateResult& result) {
  const std::span<const double> times = result.token_times;
  std::string line =
      fmt::format("{} tokens of prompt, {} generated", result.prompt_tokens, result.ids.size());
  if (!times.empty())
    line += fmt::format(" in {:.2f} s; TTFT {:.1f} ms", times.back(), times.front() * 1e3);
  if (const std::optional<double> tpot = Tpot(times))
    line += fmt::format(", TPOT {:.2f} ms ({:.1f} tokens/s)", *tpot * 1e3, 1 / *tpot);
  Say("{}; finish: {}", line, FinishReasonName(result.finish_reason));
}

Result<int> Run(RunArguments arguments) {
  HandleInterrupts();
  TRY_ASSIGN(arguments.load.runtime.precision, ParsePrecision(arguments.dtype));
  TRY_ASSIGN(arguments.load.runtime.weights, ParseWeightStorage(arguments.weights));
  TRY_ASSIGN(arguments.load.runtime.kv, ParseKvStorage(arguments.kv));
  SamplingParams sampling = Options(arguments, {}).sampling;
  TRY(Settle(&sampling, {}));  // before the model is loaded
  TRY_ASSIGN(const LoadedModel loaded, LoadModel(arguments.load));
  Say("{}: {}, {} weights run in {}, {}; {:.0f} MB of weights, loaded in {:.2f} s",
      loaded.checkpoint.path(), loaded.config().architecture, DTypeName(loaded.config().dtype),
      DescribePrecision(loaded.checkpoint, loaded.backend().precision()), loaded.backend().name(),
      static_cast<double>(loaded.model().weight_bytes()) / 1e6, loaded.load_seconds);
  if (const WeightSummary weights = loaded.backend().weights(); weights.packed)
    Say("weights packed in 12 bits, losslessly: {:.0f} MB saved, {:.1f} % of blocks kept raw",
        static_cast<double>(weights.plain_bytes - weights.bytes) / 1e6, weights.raw_share * 100);
  if (const Plan* plan = loaded.model().plan(); plan != nullptr)
    Say("compiled: {} ops captured as {} steps in {:.1f} ms, {:.1f} MB of memory", plan->ops,
        plan->steps, loaded.model().capture_seconds() * 1e3,
        static_cast<double>(plan->bytes) / 1e6);
  SayDefaults(arguments, loaded.config().generation);
  TRY_ASSIGN(const std::vector<int32_t> prompt, Prompt(arguments, loaded));

  const Interrupt interrupt;
  GenerateOptions options = Options(arguments, loaded.config().generation);
  options.cancelled = &interrupt.raised();
  Result<bool> written = true;
  std::function<bool(std::string_view)> stream;
  if (!arguments.json)
    stream = [&written](std::string_view piece) {
      written = WriteOutput(piece);
      return written && *written;
    };
  TRY_ASSIGN(const GenerateResult result,
             Generate(loaded.model(), loaded.tokenizer, prompt, options, stream));
  if (written && *written)
    written = WriteOutput(arguments.json ? ToJson(loaded, result)
                                         : (result.text.ends_with('\n') ? "" : "\n"));
  if (!written) return std::unexpected(written.error());
  if (!*written) return 0;
  SaySummary(result);
  return interrupt.raised() ? kExitInterrupted : 0;
}

}  // namespace

void AddRun(CLI::App& app, Action* chosen) {
  CLI::App* run = app.add_subcommand("run", "Generate text from a prompt");
  auto a = std::make_shared<RunArguments>();
  run->add_option("MODEL", a->load.path, "A Hugging Face directory, or a .gguf file")->required();
  run->add_option("PROMPT", a->prompt,
                  "The prompt; - reads standard input (less one final newline)")
      ->required();
  run->add_option("--temperature", a->temperature,
                  "0 takes the likeliest token (default); above, samples");
  run->add_option("--top-p", a->top_p, "Sample among the likeliest tokens of this probability");
  run->add_option("--top-k", a->top_k, "Sample among this many likeliest tokens; 0: all");
  run->add_option("--min-p", a->min_p, "Drop tokens below this share of the likeliest one's");
  run->add_option("--seed", a->seed, "Makes sampling repeatable");
  run->add_option("--max-tokens", a->max_tokens,
                  fmt::format("Tokens to generate at most; -1: as many as fit (default: the "
                              "checkpoint's max_new_tokens, or else {})",
                              kDefaultMaxTokens));
  run->add_option("--stop", a->stop, "End before this text; may be given more than once")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  run->add_flag("--chat", a->chat, "The prompt is a user's message, for the chat template");
  run->add_option("--system", a->system, "The system message that comes first")->needs("--chat");
  run->add_option(
         "--dtype", a->dtype,
         "fp32, bf16, int8, int4, stored (a GGUF's own integers) or auto: BF16 runs in bf16, "
         "F32 and F16 in fp32, quantized weights as stored")
      ->capture_default_str();
  run->add_option("--threads", a->load.runtime.threads, "Default: the cores this process may use")
      ->check(CLI::Range(1, 1024));
  run->add_option(
         "--weights", a->weights,
         "How bf16 weights are kept: plain, packed (in 12 bits, losslessly), or auto, which "
         "measures; the results are the same")
      ->capture_default_str();
  run->add_option("--kv-dtype", a->kv,
                  "How keys and values are kept: int8, with a scale a token and head, or auto, as "
                  "the dtype has them")
      ->capture_default_str();
  run->add_flag("--enforce-eager", a->load.runtime.llama.eager,
                "Run the ops one by one instead of a captured plan; the results are the same");
  run->add_option("--max-model-len", a->load.runtime.llama.max_model_len,
                  "Tokens of prompt and answer at most (default: the checkpoint's)")
      ->check(CLI::PositiveNumber);
  run->add_flag("--ignore-eos", a->ignore_eos, "Go on after an end-of-sequence token");
  run->add_flag("--json", a->json, "Print one JSON object at the end: ids, text, logprobs, timing");
  run->footer(
      "Text goes to standard output as it comes, all else to standard error. Ctrl-C ends with "
      "130;\n"
      "a reader that closes the pipe ends it quietly, with 0.\n\n"
      "Example: merope run SmolLM2-135M-Instruct.gguf --chat \"What is the capital of France?\"");
  run->callback([a, chosen] { *chosen = [a] { return Run(*a); }; });
}

}  // namespace merope

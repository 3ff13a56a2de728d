#include "cli/model_options.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>

#include "base/progress.h"
#include "cli/command_line.h"
#include "cli/hub_model.h"
#include "template/date.h"

namespace merope {

CLI::Option* AddThreads(CLI::App& command, int* threads) {
  return command
      .add_option("--threads", *threads,
                  "Number of threads (default: the cores that this process may use)")
      ->check(CLI::Range(1, 1024));
}

CLI::Option* AddMaxModelLen(CLI::App& command, int64_t* tokens) {
  return command
      .add_option("--max-model-len", *tokens,
                  "Maximum number of tokens of prompt and answer together (default: the "
                  "checkpoint's number)")
      ->check(AtLeast(1));
}

CLI::Option* AddKvCacheMemory(CLI::App& command, std::optional<uint64_t>* bytes,
                              const std::string& meaning) {
  return command
      .add_option("--kv-cache-memory", *bytes,
                  "Memory for keys and values in bytes (for example 512M or 8GiB)" + meaning)
      ->transform(Bytes())
      ->check(AtLeast(1))
      ->type_name("SIZE");
}

void AddContextLimit(CLI::App& command, ContextLimit* limit) {
  AddMaxModelLen(command, &limit->max_model_len);
  AddKvCacheMemory(command, &limit->kv_cache_bytes,
                   "; the memory is for one sequence in fp32, and prompts are cut to fit");
}

CLI::Validator OldDtype() {
  return {[](std::string& value) -> std::string {
            if (value != kOldNative) return "";
            value = PrecisionName(Precision::kNative);
            Say("--dtype {} is called {} now; the old name goes with version 0.4", kOldNative,
                value);
            return "";
          },
          ""};
}

void AddModelOptions(CLI::App& command, ModelOptions* options) {
  AddModel(command, &options->load.path);
  AddLoadOptions(command, options);
}

CLI::Option* AddOptionalModel(CLI::App& command, std::string* model, const std::string& name,
                              std::string* value, const std::string& help) {
  const CLI::callback_t take = [model, name, value](const CLI::results_t& found) {
    if (found.size() > 2)
      throw CLI::ValidationError(
          fmt::format("expected a model and {}, found a third text \"{}\"", name, found[2]));
    if (found.size() == 2) *model = found.front();
    *value = found.back();
    return true;
  };
  return command.add_option(name, take, help)
      ->option_text(fmt::format("[MODEL] {}", name))
      ->expected(1, 2)
      ->allow_extra_args()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->required();
}

void AddLoadOptions(CLI::App& command, ModelOptions* options) {
  ModelOptions& o = *options;
  LlamaOptions& llama = o.load.runtime.llama;
  command
      .add_option(
          "--dtype", o.dtype,
          "Precision: fp32, bf16, int8, int4, native (a GGUF's own integers) or auto. With auto, "
          "BF16 weights run in bf16, F32 and F16 weights in fp32, and quantized weights in bf16 "
          "(up to 500 million weights) or native (more weights).")
      ->check(Parses(ParsePrecision))
      ->transform(OldDtype())
      ->capture_default_str();
  AddThreads(command, &o.load.runtime.threads);
  command
      .add_option("--weights", o.weights,
                  "Storage of bf16 weights: plain, packed (in 12 bits, lossless) or auto (packed "
                  "if a measurement shows that packed is faster); the results are the same")
      ->check(Parses(ParseWeightStorage))
      ->capture_default_str();
  command
      .add_option("--kv-dtype", o.kv,
                  "Type of keys and values: int8 (with one scale per token and head) or auto (the "
                  "type that belongs to the dtype)")
      ->check(Parses(ParseKvStorage))
      ->capture_default_str();
  command.add_flag("--enforce-eager", llama.eager,
                   "Run the ops one by one instead of a captured plan; the results are the same");
  AddMaxModelLen(command, &llama.max_model_len);
  AddKvCacheMemory(command, &o.load.runtime.kv_cache_bytes,
                   "; default: the memory that the sequences that run together need, but not more "
                   "than the machine has left. The memory is allocated as needed.");
  command
      .add_option("--speculative-tokens", o.engine.speculative_tokens,
                  "Maximum number of tokens that are copied from earlier text in prompt and answer "
                  "and checked in one step (0: none); the results are the same")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
}

void AddDateOption(CLI::App& command, std::optional<std::tm>* date) {
  command.add_option_function<std::string>(
      "--date",
      [date](const std::string& text) {
        const Result<std::tm> parsed = ParseDate(text, "--date");
        if (!parsed) throw CLI::ValidationError(parsed.error().message);
        *date = *parsed;
      },
      "Date for chat templates that ask for the date: 2026-11-28, or with a time, "
      "2026-11-28T20:15:00 (default: MEROPE_DATE if set, otherwise today)");
}

void AddEngineOptions(CLI::App& command, ModelOptions* options) {
  EngineOptions& engine = options->engine;
  options->many = true;
  command
      .add_option("--max-num-seqs", engine.max_num_seqs,
                  "Maximum number of sequences that run together")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--max-num-batched-tokens", options->load.runtime.llama.max_batch_tokens,
                  "Maximum number of tokens per step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command.add_flag("!--no-prefix-cache", engine.prefix_cache,
                   "Compute prompts in full, without the prefix cache; the results are the same");
}

Result<LoadedModel> LoadAndSay(ModelOptions options) {
  RuntimeOptions& runtime = options.load.runtime;
  TRY_ASSIGN(runtime.precision, ParsePrecision(options.dtype));
  TRY_ASSIGN(runtime.weights, ParseWeightStorage(options.weights));
  TRY_ASSIGN(runtime.kv, ParseKvStorage(options.kv));
  runtime.max_num_seqs = options.many ? options.engine.max_num_seqs : 1;
  TRY_ASSIGN(options.load.path, FindModel(options.load.path));
  TRY_ASSIGN(LoadedModel loaded, LoadModel(options.load));
  Say("{}: {}, {} weights run in {}, {}; {:.0f} MB of weights, loaded in {:.2f} s",
      loaded.checkpoint.path(), ArchitectureName(loaded.config().architecture),
      DTypeName(loaded.config().dtype),
      DescribePrecision(loaded.checkpoint, loaded.backend().precision()), loaded.backend().name(),
      static_cast<double>(loaded.model().weight_bytes()) / 1e6, loaded.load_seconds);
  if (const WeightSummary weights = loaded.backend().weights(); weights.packed)
    Say("weights packed in 12 bits, losslessly: {:.0f} MB saved, {:.1f} % of blocks kept raw",
        static_cast<double>(weights.plain_bytes - weights.bytes) / 1e6, weights.raw_share * 100);
  if (const Plan* plan = loaded.model().plan(); plan != nullptr)
    Say("compiled: {} ops captured as {} steps in {:.1f} ms, {:.1f} MB of memory", plan->ops,
        plan->steps, loaded.model().capture_seconds() * 1e3,
        static_cast<double>(plan->bytes) / 1e6);
  const int64_t capacity = loaded.model().kv().capacity_tokens();
  const int64_t longest = loaded.model().max_model_len();
  Say("KV cache: up to {} tokens, {:.2f} requests of {} tokens at once, {:.0f} MB if all are used",
      capacity, static_cast<double>(capacity) / static_cast<double>(longest), longest,
      static_cast<double>(capacity * loaded.model().kv_token_bytes()) / 1e6);
  return loaded;
}

void SayLine(const std::string& line) {
  const bool dim = ErrorIsTerminal() && WantColor();
  std::fprintf(stderr, "%s%s%s\n", dim ? "\x1b[2m" : "", line.c_str(), dim ? "\x1b[0m" : "");
}

}  // namespace merope

#include <cstdio>
#include <memory>
#include <utility>

#include "base/json.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/endpoint_options.h"
#include "cli/hub_model.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/self_test_table.h"
#include "cli/verify_table.h"
#include "engine/load.h"
#include "verify/endpoint_target.h"
#include "verify/logits_file.h"
#include "verify/result_json.h"
#include "verify/self_test.h"
#include "verify/suite.h"
#include "verify/user_prompts.h"

namespace merope {
namespace {

struct VerifyArguments {
  std::string model, original, dtype, kv = "auto", dump_prompts, dump_logits;
  VerifyOptions options;
  ContextLimit limit;
  EndpointArguments endpoint;
  TargetChoices choices;
  std::string numerics, answers, mutants;
  bool self_test = false, quick = false, full = false, json = false, reference = false;
};

// The prompts of a .json file; or else the prompts of the mode and the user's own prompts.
Result<std::vector<VerifyPrompt>> Prompts(const VerifyArguments& arguments,
                                          const Checkpoint& checkpoint) {
  const std::string& own = arguments.options.prompts;
  if (own.ends_with(".json")) return ReadPrompts(own, checkpoint.config().vocab_size);
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
  TRY_ASSIGN(std::vector<VerifyPrompt> prompts,
             BuildPrompts(checkpoint, tokenizer, arguments.options.mode));
  if (!own.empty())
    TRY(AddUserPrompts(own, tokenizer, checkpoint.config().max_position_embeddings, &prompts));
  return prompts;
}

Result<int> Dump(const VerifyArguments& arguments, const Checkpoint& checkpoint) {
  TRY_ASSIGN(const std::vector<VerifyPrompt> prompts, Prompts(arguments, checkpoint));
  if (!arguments.dump_prompts.empty()) {
    TRY(WritePrompts(arguments.dump_prompts, prompts));
    std::fprintf(stderr, "%s: %zu prompts written\n", arguments.dump_prompts.c_str(),
                 prompts.size());
  }
  if (arguments.dump_logits.empty()) return 0;
  int64_t longest = 0;
  for (const VerifyPrompt& p : prompts) longest = std::max(longest, std::ssize(p.ids));
  TRY_ASSIGN(const std::unique_ptr<LogitSource> source,
             LoadLogitSource(checkpoint, arguments.reference ? kReferenceBackend : kCpuBackend,
                             arguments.options.target, arguments.options.target_kv,
                             arguments.options.threads, longest));
  ProgressBar bar("logits");
  TRY(WriteLogits(arguments.dump_logits, *source, prompts, checkpoint.config().vocab_size,
                  [&bar](int64_t done, int64_t total) { bar.Update(done, total); }));
  std::fprintf(stderr, "%s: logits of %zu prompts written, from %s\n",
               arguments.dump_logits.c_str(), prompts.size(), source->name().c_str());
  return 0;
}

Result<EndpointTarget> ProbeWithBar(Endpoint endpoint, const VerifyArguments& arguments,
                                    const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  ProgressBar bar("probing the endpoint");
  return ProbeTarget(std::move(endpoint), arguments.choices, checkpoint, tokenizer,
                     arguments.options.mode,
                     [&bar](int64_t done, int64_t total) { bar.Update(done, total); });
}

// Says what the verification will ask for.
Status SayCost(const EndpointTarget& target, const VerifyArguments& arguments,
               const Checkpoint& checkpoint) {
  TRY_ASSIGN(const std::vector<VerifyPrompt> prompts, Prompts(arguments, checkpoint));
  const ServerFacts& facts = target.endpoint.facts();
  std::fprintf(stderr, "%s at %s, model %s: %zu requests of %lld tokens in all, numerics %s\n",
               facts.software.empty() ? "server" : facts.software.c_str(), facts.url.c_str(),
               facts.model.c_str(), prompts.size(),
               static_cast<long long>(TokensToAsk(target.ask, prompts)),
               NumericsName(target.numerics.precision, target.numerics.rounding).c_str());
  return {};
}

Result<int> RunSelfTest(const VerifyArguments& arguments, const Checkpoint& checkpoint,
                        const Tokenizer& tokenizer) {
  const VerifyOptions& verify = arguments.options;
  SelfTestOptions options;
  options.numerics = {verify.target, verify.target_rounding};
  options.kv = verify.target_kv;
  options.threads = verify.threads;
  if (!arguments.mutants.empty()) {
    TRY_ASSIGN(options.mutants, ParseMutants(arguments.mutants));
  }
  PhaseBars bars(SelfTestPhases(options));
  options.progress = [&bars](std::string_view phase, int64_t done, int64_t total) {
    bars.Update(phase, done, total);
  };
  TRY_ASSIGN(const SelfTestResult result, SelfTest(checkpoint, tokenizer, options));
  bars.Clear();
  TRY_ASSIGN(
      const bool written,
      WriteOutput(arguments.json ? DumpJson(ToJson(result), 2) + "\n"
                                 : SelfTestTable(result, OutputIsTerminal() && WantColor())));
  static_cast<void>(written);
  return ExitCode(result.passed() ? Verdict::kPass : Verdict::kFail);
}

Result<int> RunVerify(VerifyArguments arguments) {
  TRY_ASSIGN(const std::optional<Precision> precision,
             ParsePrecision(arguments.dtype.empty() ? "auto" : arguments.dtype));
  VerifyOptions& options = arguments.options;
  options.mode = arguments.quick  ? VerifyMode::kQuick
                 : arguments.full ? VerifyMode::kFull
                                  : VerifyMode::kDefault;
  TRY_ASSIGN(options.target_kv, ParseKvStorage(arguments.kv));
  TRY_ASSIGN(arguments.model, FindModel(arguments.model));
  std::optional<Endpoint> endpoint;
  if (arguments.endpoint.given()) {
    if (!arguments.answers.empty()) {
      TRY_ASSIGN(arguments.endpoint.options.answers, AnswersFile::Open(arguments.answers));
    }
    TRY_ASSIGN(endpoint, OpenEndpoint(arguments.endpoint));
  }
  TRY_ASSIGN(const Checkpoint checkpoint, OpenLimited(arguments.model, arguments.limit));
  const DType dtype = checkpoint.config().dtype;
  options.target = arguments.dtype.empty() && (!IsOwnInteger(dtype) || !options.target_file.empty())
                       ? Precision::kBf16
                       : precision.value_or(DefaultPrecision(checkpoint));
  if (!arguments.dump_prompts.empty() || !arguments.dump_logits.empty())
    return Dump(arguments, checkpoint);

  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
  std::optional<Checkpoint> original;
  if (!arguments.original.empty()) {
    TRY_ASSIGN(const std::string path, FindModel(arguments.original));
    TRY_ASSIGN(original, Checkpoint::Open(path));
    options.original = &*original;
  }
  if (!arguments.numerics.empty()) {
    if (!endpoint && options.target_file.empty() && !arguments.self_test)
      return Err(
          "numerics: expected --endpoint, --target or --self-test, found none of them: --dtype "
          "names the arithmetic of merope's own target");
    TRY_ASSIGN(arguments.choices.numerics, ParseNumerics(arguments.numerics));
    options.target = arguments.choices.numerics->precision;
    options.target_rounding = arguments.choices.numerics->rounding;
  }
  if (arguments.self_test) return RunSelfTest(arguments, checkpoint, tokenizer);
  std::optional<EndpointTarget> target;
  if (endpoint) {
    TRY_ASSIGN(target, ProbeWithBar(std::move(*endpoint), arguments, checkpoint, tokenizer));
    TRY(SayCost(*target, arguments, checkpoint));
    options.endpoint = &*target;
    options.target = target->numerics.precision;
    options.target_rounding = target->numerics.rounding;
  }
  PhaseBars bars(VerifyPhases(options));
  options.progress = [&bars](std::string_view phase, int64_t done, int64_t total) {
    bars.Update(phase, done, total);
  };
  TRY_ASSIGN(const VerifyResult result, Verify(checkpoint, tokenizer, options));
  bars.Clear();
  TRY_ASSIGN(const bool written,
             WriteOutput(arguments.json ? DumpJson(ToJson(result), 2) + "\n"
                                        : VerifyTable(result, OutputIsTerminal() && WantColor())));
  static_cast<void>(written);  // without a reader, the exit code still gives the verdict
  return ExitCode(result.verdict);
}

}  // namespace

void AddVerify(CLI::App& app, Action* chosen) {
  CLI::App* verify =
      app.add_subcommand("verify", "Compare a model's precision with fp32, and give verdicts");
  auto a = std::make_shared<VerifyArguments>();
  AddModel(*verify, &a->model);
  verify
      ->add_option(
          "--dtype", a->dtype,
          "Dtype to verify: bf16, int8, int4, native (a GGUF's own integers), fp32 (against the "
          "double-precision reference) or auto (default: bf16, or the integers of a model that "
          "quantize wrote)")
      ->check(Parses(ParsePrecision))
      ->transform(OldDtype());
  verify
      ->add_option("--kv-dtype", a->kv,
                   "Type of the target's keys and values: int8, or auto (the type that belongs to "
                   "the dtype)")
      ->check(Parses(ParseKvStorage))
      ->capture_default_str();
  auto* quick =
      verify->add_flag("--quick", a->quick,
                       "Use the reference report's 25 prompts and some more; takes under 2 minutes "
                       "for a small model");
  verify->add_flag("--full", a->full, "Use all built-in prompts, up to 4,096 tokens long")
      ->excludes(quick);
  auto* against =
      verify->add_option("--against", a->options.against,
                         "Take the baseline from this file of logits (tools/dump_hf_logits.py)");
  auto* target_file =
      verify
          ->add_option(
              "--target", a->options.target_file,
              "Judge the logits in this file, which another device computed in the format of "
              "--dtype: whole rows or top-k (tools/dump_hf_logits.py)")
          ->excludes(against);
  CLI::Option* endpoint = AddEndpoint(
      *verify, &a->endpoint,
      "Judge the model that this OpenAI-compatible server runs (http://host:port); MODEL is the "
      "fp32 reference");
  endpoint->excludes(against)->excludes(target_file);
  verify
      ->add_option(
          "--numerics", a->numerics,
          "Arithmetic of the server, of the device of --target or of the model of --self-test: "
          "bf16 (products in bf16, the rest in fp32), bf16-ops or fp16-ops (every op's result is "
          "rounded, as in PyTorch), fp32, int8, int4 or native (default: by the server's software)")
      ->check(Parses(ParseNumerics));
  verify
      ->add_option("--generate", a->choices.generate,
                   "Tokens that the server generates after each prompt (default: 64; 16 with "
                   "--quick)")
      ->check(Between(1, 4096))
      ->needs(endpoint);
  verify
      ->add_option("--top-logprobs", a->choices.top_k,
                   "Tokens with logprobs to ask for at each position")
      ->check(Between(2, 1'000'000))
      ->capture_default_str()
      ->needs(endpoint);
  verify->add_option("--concurrency", a->choices.concurrency, "Requests at the same time")
      ->check(Between(1, 256))
      ->capture_default_str()
      ->needs(endpoint);
  verify
      ->add_option("--max-tokens-total", a->endpoint.options.max_tokens_total,
                   "Stop before the requests, prompts included, take more tokens than this")
      ->check(AtLeast(1))
      ->default_str("no limit")
      ->needs(endpoint);
  verify
      ->add_option("--answers", a->answers,
                   "Keep the server's answers in this file (JSON lines), and do not ask again for "
                   "the answers that it has")
      ->needs(endpoint);
  verify->add_option("--prompts", a->options.prompts,
                     "File of your own prompts to verify in addition: .jsonl with {\"prompt\": "
                     "\"…\"} on each line, or one prompt per line; with --dump-logits, a .json "
                     "file that --dump-prompts wrote replaces all prompts");
  verify
      ->add_option("--baseline", a->original,
                   "Take the fp32 baseline from this model: the original of a quantized one")
      ->excludes("--against");
  AddContextLimit(*verify, &a->limit);
  AddThreads(*verify, &a->options.threads);
  verify->add_flag("--json", a->json, "Print the result as one JSON object");
  verify->add_option("--dump-prompts", a->dump_prompts,
                     "Only write the prompts of the mode to this file, as token ids (JSON)");
  auto* dump_logits =
      verify->add_option("--dump-logits", a->dump_logits,
                         "Only write the logits of the prompts to this file (safetensors), "
                         "computed in --dtype");
  verify
      ->add_flag("--reference", a->reference,
                 "Compute the logits of --dump-logits on the double-precision reference back end")
      ->needs(dump_logits);
  auto* self_test =
      verify
          ->add_flag("--self-test", a->self_test,
                     "Plant faults into the model, one at a time, and show which gates of --quick "
                     "find each; exit code 0 if all faults are found and the model itself does not "
                     "fail; about 10 minutes for a small model")
          ->excludes(against)
          ->excludes(target_file)
          ->excludes(endpoint)
          ->excludes(dump_logits);
  for (const char* other : {"--full", "--baseline", "--prompts", "--dump-prompts"})
    self_test->excludes(other);
  verify
      ->add_option("--mutants", a->mutants,
                   "Plant only these faults: keys of the self-test's table, separated by commas")
      ->check(Parses(ParseMutants))
      ->needs(self_test);
  verify->footer(
      "Exit code: 0 PASS; 1 FAIL; 2 INCONCLUSIVE. The worse of two verdicts sets the exit code:\n"
      "(a) the reference report's table, and (b) the full suite.\n"
      "The reference report is the public adaptation report of Pleias-RAG-350M on an Ascend\n"
      "NPU. docs/verification.md defines every figure and gate.\n\n"
      "Examples:\n"
      "  merope verify --quick SmolLM2-135M-Instruct.gguf\n"
      "  merope verify SmolLM2-135M-Instruct.gguf --endpoint http://localhost:8000\n"
      "  merope verify SmolLM2-135M-Instruct.gguf --self-test --numerics bf16-ops\n"
      "docs/endpoints.md describes the verification of a server.");
  verify->callback([a, chosen] { *chosen = [a] { return RunVerify(*a); }; });
}

}  // namespace merope

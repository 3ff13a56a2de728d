#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/json.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/endpoint_options.h"
#include "cli/hub_model.h"
#include "cli/invariance_table.h"
#include "cli/layers_table.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/self_test_table.h"
#include "cli/tokens_table.h"
#include "cli/verify_table.h"
#include "verify/logits_file.h"
#include "verify/result_json.h"
#include "verify/verification.h"

namespace merope {
namespace {

struct VerifyArguments {
  VerifyRequest request;
  std::string dump_prompts, dump_logits, mutants;
  bool quick = false, full = false, json = false, reference = false, invariance = false;
};

Result<int> Dump(const VerifyArguments& arguments, const Verification& verification) {
  TRY_ASSIGN(const std::vector<VerifyPrompt> prompts, verification.Prompts());
  if (!arguments.dump_prompts.empty()) {
    TRY(WritePrompts(arguments.dump_prompts, prompts));
    std::fprintf(stderr, "%s: %zu prompts written\n", arguments.dump_prompts.c_str(),
                 prompts.size());
  }
  if (arguments.dump_logits.empty()) return 0;
  int64_t longest = 0;
  for (const VerifyPrompt& p : prompts) longest = std::max(longest, std::ssize(p.ids));
  const Checkpoint& checkpoint = verification.checkpoint();
  const VerifyOptions& options = verification.options();
  TRY_ASSIGN(const std::unique_ptr<LogitSource> source,
             LoadLogitSource(checkpoint, arguments.reference ? kReferenceBackend : kCpuBackend,
                             options.target, options.target_kv, options.threads, longest));
  ProgressBar bar("logits");
  TRY(WriteLogits(arguments.dump_logits, *source, prompts, checkpoint.config().vocab_size,
                  [&bar](int64_t done, int64_t total) { bar.Update(done, total); }));
  std::fprintf(stderr, "%s: logits of %zu prompts written, from %s\n",
               arguments.dump_logits.c_str(), prompts.size(), source->name().c_str());
  return 0;
}

Verdict VerdictOf(const SelfTestResult& result) {
  return result.passed() ? Verdict::kPass : Verdict::kFail;
}
Verdict VerdictOf(const auto& result) { return result.verdict; }

// Runs another judgment than the suite, and prints its result. run(progress) gives the result.
Result<int> RunOther(bool json, const auto& run, const auto& table) {
  PhaseBars bars;
  TRY_ASSIGN(const auto result, run([&bars](std::string_view phase, int64_t done, int64_t total) {
               bars.Update(phase, done, total);
             }));
  bars.Clear();
  TRY_ASSIGN(const bool written,
             WriteOutput(json ? DumpJson(ToJson(result), 2) + "\n"
                              : table(result, OutputIsTerminal() && WantColor())));
  static_cast<void>(written);  // without a reader, the exit code still gives the verdict
  return ExitCode(VerdictOf(result));
}

Result<int> RunSelfTest(const VerifyArguments& arguments, const Verification& verification) {
  std::vector<std::string> mutants;
  if (!arguments.mutants.empty()) {
    TRY_ASSIGN(mutants, ParseMutants(arguments.mutants));
  }
  return RunOther(
      arguments.json,
      [&](const PhaseProgress& progress) { return verification.RunSelfTest(mutants, progress); },
      SelfTestTable);
}

Result<int> RunVerify(VerifyArguments arguments) {
  VerifyRequest& request = arguments.request;
  request.options.mode = arguments.quick  ? VerifyMode::kQuick
                         : arguments.full ? VerifyMode::kFull
                                          : VerifyMode::kDefault;
  TRY_ASSIGN(request.model, FindModel(request.model));
  if (!request.original.empty()) {
    TRY_ASSIGN(request.original, FindModel(request.original));
  }
  TRY_ASSIGN(Verification verification, Verification::Open(request));
  if (!arguments.dump_prompts.empty() || !arguments.dump_logits.empty())
    return Dump(arguments, verification);
  if (request.self_test) return RunSelfTest(arguments, verification);
  if (request.layers)
    return RunOther(
        arguments.json, [&](const PhaseProgress& p) { return verification.RunLayers(p); },
        LayersTable);
  if (request.tokens)
    return RunOther(
        arguments.json, [&](const PhaseProgress& p) { return verification.RunTokens(p); },
        TokensTable);
  if (arguments.invariance)
    return RunOther(
        arguments.json, [&](const PhaseProgress& p) { return verification.RunInvariance(p); },
        InvarianceTable);

  std::optional<PhaseBars> bars;
  bars.emplace();
  const auto show = [&bars](std::string_view phase, int64_t done, int64_t total) {
    bars->Update(phase, done, total);
  };
  TRY(verification.Prepare(show, [&bars](const std::string& line) {
    bars->Clear();
    std::fprintf(stderr, "%s\n", line.c_str());
  }));
  bars.emplace(verification.phases());
  TRY_ASSIGN(const VerifyResult result, verification.Run(show));
  bars.reset();
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
  VerifyRequest& request = a->request;
  AddModel(*verify, &request.model);
  verify
      ->add_option(
          "--dtype", request.dtype,
          "Dtype to verify: bf16, int8, int4, native (a GGUF's own integers), fp32 (against the "
          "double-precision reference) or auto (default: bf16, or the integers of a model that "
          "quantize wrote)")
      ->check(Parses(ParsePrecision))
      ->transform(OldDtype());
  verify
      ->add_option("--kv-dtype", request.kv,
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
      verify->add_option("--against", request.options.against,
                         "Take the baseline from this file of logits (tools/dump_hf_logits.py)");
  auto* target_file =
      verify
          ->add_option(
              "--target", request.options.target_file,
              "Judge the logits in this file, which another device computed in the format of "
              "--dtype: whole rows or top-k (tools/dump_hf_logits.py)")
          ->excludes(against);
  CLI::Option* endpoint = AddTarget(
      *verify, &request.target,
      "Judge the model that this OpenAI-compatible server runs (http://host:port); MODEL is the "
      "fp32 reference");
  endpoint->excludes(against)->excludes(target_file);
  verify->get_option("--numerics")
      ->description(
          "Arithmetic of the server, of the device of --target or of the model of --self-test: "
          "bf16 (products in bf16, the rest in fp32), bf16-ops or fp16-ops (every op's result is "
          "rounded, as in PyTorch), fp32, int8, int4 or native (default: by the server's "
          "software)");
  verify
      ->add_flag("--stability", request.target.stability,
                 "Also ask for some prompts one at a time, again, without cached prefix, and all "
                 "at the same time, and count the answers that differ")
      ->needs(endpoint);
  verify
      ->add_flag(
          "--texts", request.target.texts,
          "Also compare the server's tokenizer and its chat template with those of MODEL, on "
          "the prompts and on random texts")
      ->needs(endpoint);
  verify->add_option("--prompts", request.options.prompts,
                     "File of your own prompts to verify in addition: .jsonl with {\"prompt\": "
                     "\"…\"} on each line, or one prompt per line; with --dump-logits, a .json "
                     "file that --dump-prompts wrote replaces all prompts");
  verify
      ->add_option("--baseline", request.original,
                   "Take the fp32 baseline from this model: the original of a quantized one")
      ->excludes("--against");
  AddContextLimit(*verify, &request.limit);
  AddThreads(*verify, &request.options.threads);
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
  CLI::Option* bundle =
      AddText(*verify, "--bundle", &request.bundle,
              "Keep everything that the verdict stands on in this new directory: rows of logits, a "
              "server's answers, hashes; merope replay computes the verdict from it again");
  auto* self_test =
      verify
          ->add_flag("--self-test", request.self_test,
                     "Plant faults into the model, one at a time, and show which gates of --quick "
                     "find each; exit code 0 if all faults are found and the model itself does not "
                     "fail; about 10 minutes for a small model")
          ->excludes(against)
          ->excludes(target_file)
          ->excludes(endpoint)
          ->excludes(bundle)
          ->excludes(dump_logits);
  for (const char* other : {"--full", "--baseline", "--prompts", "--dump-prompts"})
    self_test->excludes(other);
  verify
      ->add_option("--mutants", a->mutants,
                   "Plant only these faults: keys of the self-test's table, separated by commas")
      ->check(Parses(ParseMutants))
      ->needs(self_test);
  auto* layers =
      verify
          ->add_flag("--layers", request.layers,
                     "Compare the results of all ops, layer by layer, and name the first op whose "
                     "error is larger than that of the format; with --target, the intermediate "
                     "results in this file (tools/dump_layers.py)")
          ->excludes(against)
          ->excludes(endpoint)
          ->excludes(bundle)
          ->excludes(dump_logits)
          ->excludes(self_test);
  for (const char* other : {"--baseline", "--dump-prompts"}) layers->excludes(other);
  auto* tokens =
      verify
          ->add_flag("--tokens", request.tokens,
                     "Judge the target, or the server of --endpoint, by its tokens alone: greedy "
                     "texts by their margins in fp32, and samples at temperature 1 by their "
                     "probabilities in fp32; no logprobs are needed")
          ->excludes(against)
          ->excludes(target_file)
          ->excludes(bundle)
          ->excludes(dump_logits)
          ->excludes(self_test)
          ->excludes(layers);
  for (const char* other : {"--baseline", "--dump-prompts", "--prompts", "--stability",
                            "--endpoint-eager", "--texts", "--generate", "--top-logprobs"})
    tokens->excludes(other);
  auto* invariance =
      verify
          ->add_flag(
              "--invariance", a->invariance,
              "Compute the same tokens in other batches, chunks and numbers of threads, from "
              "the prefix cache and without a captured plan, and compare the bits")
          ->excludes(against)
          ->excludes(target_file)
          ->excludes(endpoint)
          ->excludes(bundle)
          ->excludes(dump_logits)
          ->excludes(self_test)
          ->excludes(layers)
          ->excludes(tokens);
  for (const char* other : {"--baseline", "--dump-prompts"}) invariance->excludes(other);
  verify->footer(
      "Exit code: 0 PASS; 1 FAIL; 2 INCONCLUSIVE. The worse of two verdicts sets the exit code:\n"
      "(a) the reference report's table, and (b) the full suite.\n"
      "The reference report is the public adaptation report of Pleias-RAG-350M on an Ascend\n"
      "NPU. docs/verification.md defines every figure and gate.\n\n"
      "Examples:\n"
      "  merope verify --quick SmolLM2-135M-Instruct.gguf\n"
      "  merope verify SmolLM2-135M-Instruct.gguf --endpoint http://localhost:8000\n"
      "  merope verify SmolLM2-135M-Instruct.gguf --self-test --numerics bf16-ops\n"
      "  merope verify SmolLM2-135M-Instruct.gguf --quick --layers\n"
      "docs/endpoints.md describes the verification of a server.");
  verify->callback([a, chosen] { *chosen = [a] { return RunVerify(*a); }; });
}

}  // namespace merope

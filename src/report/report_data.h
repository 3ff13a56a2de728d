// Everything a report tells, as found in one run. Collect fills it; the writers only word it. Plain
// values.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/machine.h"
#include "bench/latency.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/weight_check.h"
#include "engine/load.h"
#include "report/error_sample.h"
#include "verify/suite.h"

namespace merope {

struct ReportOptions {
  std::string model;
  VerifyMode mode = VerifyMode::kDefault;
  Precision target = Precision::kBf16;
  std::vector<Precision> others = {};  // dtypes that one table sets beside the target
  int threads = 0;                     // 0: DefaultThreads()
  std::string prompts = {};  // a file of the user's own, verified with the others; or empty
  ContextLimit limit = {};
};

// What the checkpoint says of itself.
struct ModelIdentity {
  std::string name;
  std::string license, license_source;  // empty where nothing states one
};

struct LoadFacts {
  std::string backend;  // "cpu (AVX3_ZEN4, 2 threads)"
  double open_seconds = 0, tokenizer_seconds = 0, load_seconds = 0;
  int64_t weight_bytes = 0;  // resident, as packed
  int64_t matrices_fp32_bytes = 0;
  int64_t resident_before = 0, resident_after = 0, peak = 0;
  int64_t kv_token_bytes = 0, kv_pages = 0;
  // The captured forward pass: what an eager one would run, what a replay runs, its static memory.
  int64_t captured_ops = 0, captured_steps = 0, captured_bytes = 0;
  double capture_seconds = 0;
};

// The same prompt through fp32 and the target, greedy.
struct GenerationPair {
  std::string prompt;  // what was asked
  std::string form;    // "plain", "chat", "rag": how it was put to the model
  int64_t prompt_tokens = 0;
  std::string error;  // why a text could not be generated; then nothing below is known
  std::string baseline_text, target_text;
  int64_t baseline_tokens = 0, target_tokens = 0;
  bool baseline_stopped = false, target_stopped = false;  // by an EOS
  // Where the texts part; −1: nowhere. Then what both models' logits are at that place.
  int64_t first_difference = -1;
  std::string baseline_token, target_token;
  double margin = 0;         // fp32: its token's logit less the target's token's
  double target_margin = 0;  // the same in the target
  double sigma = 0;          // of the centred logit error there
};

// Alternating runs of one case in fp32 and the target.
struct SpeedComparison {
  int64_t input_length = 0, output_length = 0;
  LatencyResult baseline, target;  // of the last round
  std::vector<double> ratios;      // fp32 latency / target latency, one a round
  Distribution baseline_tpot, target_tpot, ratio;
};

struct ParameterGroup {
  std::string key;  // "embedding", "attention", "mlp", "norms", "head"
  int64_t parameters = 0;
};

// What one dtype costs and gives, beside the others.
struct DtypeRow {
  Precision precision = Precision::kBf16;
  VerifyResult verify;
  int64_t weight_bytes = 0;  // resident
  double prefill_tokens_per_second = 0, decode_tokens_per_second = 0;
};

struct ReportData {
  ReportOptions options;
  std::string date;  // "2026-05-20 10:00 UTC"
  double seconds = 0;
  Machine machine;
  ModelIdentity identity;
  CheckpointFormat format = CheckpointFormat::kSafetensors;
  ModelConfig config;
  int64_t tokenizer_vocab = 0;
  bool has_chat_template = false;
  // What stands before a prompt (BOS, with most models), and what says so.
  std::vector<std::pair<std::string, int32_t>> prefix;
  std::string prefix_rule;
  WeightReport weights;
  std::vector<ParameterGroup> parameters;
  double weight_rounding = 0;
  LoadFacts load;
  std::vector<GenerationPair> generation;
  ErrorSample errors;
  LatencyResult latency;
  LatencyResult modes;  // eager beside compiled, in turns
  SpeedComparison comparison;
  VerifyResult verify;
  std::vector<DtypeRow> dtypes;  // the target and the others asked for; empty where there are none

  // The worst of the weight check and both suites.
  Verdict verdict() const {
    return Worse(weights.ok() ? Verdict::kPass : Verdict::kFail, verify.verdict);
  }
  std::string_view target_name() const { return PrecisionName(options.target); }
};

struct ReportProgress {
  // phase: "weights", "performance", "generation", "errors", "verify: …"
  std::function<void(std::string_view phase, int64_t done, int64_t total)> update;
};

Result<ReportData> Collect(const ReportOptions& options, const ReportProgress& progress);

}  // namespace merope

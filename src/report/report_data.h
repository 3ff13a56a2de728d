// All data of a report, from one run. Collect (collect.h) measures and fills the data. The sections
// only turn the data into text. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/machine.h"
#include "bench/endpoint_latency.h"
#include "bench/latency.h"
#include "bench/serve.h"
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
  std::vector<Precision> others = {};  // further dtypes, for the table that compares dtypes
  int threads = 0;                     // 0: DefaultThreads()
  std::string prompts = {};  // a file of the user's own prompts, added to the suite; or empty
  ContextLimit limit = {};
  // As in the commands that the report shows, without credentials; empty: no such server.
  // CollectServer sets them.
  std::string endpoint_url = {}, eager_url = {};
};

// The name and the licence of the model, as ReadIdentity finds them.
struct ModelIdentity {
  std::string name;
  std::string license, license_source;  // empty if the checkpoint states no licence
};

struct LoadFacts {
  std::string backend;  // "cpu (AVX3_ZEN4, 2 threads)"
  double open_seconds = 0, tokenizer_seconds = 0, load_seconds = 0;
  int64_t weight_bytes = 0;  // resident, as packed
  int64_t matrices_fp32_bytes = 0;
  int64_t resident_before = 0, resident_after = 0, peak = 0;
  int64_t kv_token_bytes = 0, kv_pages = 0;
  // The captured forward pass: ops of an eager pass, steps of a replay, bytes of static memory.
  int64_t captured_ops = 0, captured_steps = 0, captured_bytes = 0;
  double capture_seconds = 0;
};

// Greedy generation from the same prompt in fp32 and in the target.
struct GenerationPair {
  std::string prompt;  // the question
  std::string form;    // "plain", "chat", "rag": the form of the prompt
  int64_t prompt_tokens = 0;
  std::string error;  // why a generation failed; then the fields below are not set
  std::string baseline_text, target_text;
  int64_t baseline_tokens = 0, target_tokens = 0;
  bool baseline_stopped = false, target_stopped = false;  // an EOS ended the text
  // Index of the first generated token that differs; −1: none. The fields below describe both
  // models' logits at this position.
  int64_t first_difference = -1;
  std::string baseline_token, target_token;
  double margin = 0;  // in fp32: logit of baseline_token minus logit of target_token
  // The same difference in the target; nullopt: a server does not list both tokens.
  std::optional<double> target_margin = {};
  double sigma = 0;  // RMS of the centred logit error
};

// Runs of one case, alternately in fp32 and in the target.
struct SpeedComparison {
  int64_t input_length = 0, output_length = 0;
  LatencyResult baseline, target;  // of the last round
  std::vector<double> ratios;      // fp32 latency / target latency, one per round
  Distribution baseline_tpot, target_tpot, ratio;
};

struct ParameterGroup {
  std::string key;  // "embedding", "attention", "mlp", "norms", "head"
  int64_t parameters = 0;
};

// One row of the table that compares dtypes: precision, size and speed.
struct DtypeRow {
  Precision precision = Precision::kBf16;
  VerifyResult verify;
  int64_t weight_bytes = 0;  // resident
  double prefill_tokens_per_second = 0, decode_tokens_per_second = 0;
};

// The figures of a server at one number of requests at the same time.
struct ServingLevel {
  int64_t concurrency = 0;
  ServeBenchResult result;
};

// The subject of the report, if it is a server. The fields of ReportData that describe a model in
// this process (load, latency, modes, comparison, dtypes) are then not set.
struct ServerReport {
  std::string name;  // a short name: the device, or else the software
  // What --environment states, in the order of the file.
  std::vector<std::pair<std::string, std::string>> environment;
  EndpointLatencyOptions grid;
  std::vector<EndpointLatencyCase> latency;
  int64_t serving_input = 0, serving_output = 0;  // tokens of each request
  std::vector<ServingLevel> serving;
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
  // The tokens before each prompt (for most models BOS), and the source of this rule.
  std::vector<std::pair<std::string, int32_t>> prefix;
  std::string prefix_rule;
  WeightReport weights;
  std::vector<ParameterGroup> parameters;
  double weight_rounding = 0;
  LoadFacts load;
  std::vector<GenerationPair> generation;
  ErrorSample errors;
  LatencyResult latency;
  LatencyResult modes;  // eager and compiled runs, alternately
  SpeedComparison comparison;
  VerifyResult verify;
  std::vector<DtypeRow> dtypes;  // the target and options.others; empty if others is empty
  std::optional<ServerReport> server{};

  // The worst of the weight check and the two precision suites.
  Verdict verdict() const {
    return Worse(weights.ok() ? Verdict::kPass : Verdict::kFail, verify.verdict);
  }
  std::string_view target_name() const {
    return server ? std::string_view(server->name) : PrecisionName(options.target);
  }
};

}  // namespace merope

// The latency benchmark. It runs one batch from the prompts to the last token, for a grid of batch
// sizes, context depths, input lengths and output lengths. Warm-up runs come first. The benchmark
// probes the memory bandwidth and the multiply-add peak between the runs. Called by `merope bench
// latency` and `merope report`, on the caller's thread.
//
// The reference report: the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "bench/distribution.h"
#include "model/llama.h"

namespace merope {

struct LatencyOptions {
  std::vector<int64_t> input_lengths = {16, 32, 64, 128};  // the reference report's grid
  std::vector<int64_t> output_lengths = {50, 100};
  std::vector<int64_t> batch_sizes = {1};
  std::vector<int64_t> contexts = {0};  // tokens in the KV cache before the prompt; untimed
  int warmup = 3;                       // runs of each case that do not count; they come first
  int repeats = 5;                      // runs of each case that count
  uint64_t seed = 0;                    // for the random prompts
  // Also run op by op (eager), alternately with the compiled runs. Eager runs form separate cases.
  bool eager_too = false;
  int threads = 0;  // threads of the probes, as many as the model has; 0: DefaultThreads()
  StopFlag stop{};  // ends the benchmark with an error, after the present step
  std::function<void(int64_t done, int64_t total)> progress;  // in runs
};
inline constexpr int64_t kMaxBatchSize = 128;
// Validate checks the lengths, the counts and the model's context; its error names the option.
// KvTokens returns the KV cache capacity, in tokens, that the grid needs.
Status Validate(const LatencyOptions& options, int64_t max_model_len);
// Checks the values of one option that is a list.
Status CheckValues(std::string_view option, std::span<const int64_t> values, int64_t least,
                   int64_t most);
// Checks the numbers of runs.
Status CheckRuns(int warmup, int repeats);
int64_t KvTokens(const LatencyOptions& options);

// One point of the grid. Units: seconds, and tokens of the whole batch per second.
struct LatencyCase {
  std::string mode;  // "compiled" or "eager"
  int64_t batch_size = 1, context = 0, input_length = 0, output_length = 0;
  Distribution latency;        // from the first prompt token to the last output token
  Distribution throughput;     // output tokens / latency
  Distribution ttft;           // until every sequence of the batch has its first token
  Distribution tpot;           // (latency − TTFT) / (output length − 1); 0 if output length is 1
  Distribution report_tpot;    // latency / output length: the reference report's definition
  Distribution inter_token;    // over the single decode steps of all runs
  Distribution prefill_speed;  // prompt tokens / TTFT
  Distribution bandwidth;      // bytes per second, of the probes around the runs
  // decode_bytes: the bytes that a decode step must read (the weights, and the keys and values of
  // the mean context). bandwidth_share: decode_bytes / TPOT, as a share of the bandwidth. The
  // bandwidth is the mean of the probes before and after the run.
  int64_t decode_bytes = 0;
  Distribution bandwidth_share;
  // prefill_flops: the operations of the prefill (PrefillFlops, for the whole batch). peak_share:
  // prefill_flops / TTFT, as a share of the peak. The peak is the mean of the probes before and
  // after the run.
  int64_t prefill_flops = 0;
  Distribution peak;  // operations per second, of PeakOf(the model's precision)
  Distribution peak_share;
  // Only for a compiled case that has an eager counterpart: the latency of an eager run over the
  // latency of the compiled run next to it.
  std::optional<MeanRatio> speedup;
};

struct LatencyResult {
  std::string backend, precision;
  int threads = 0;
  int warmup = 0, repeats = 0;
  uint64_t seed = 0;
  int64_t weight_bytes = 0;         // resident weights
  int64_t step_weight_bytes = 0;    // the part of weight_bytes that a decode step reads
  int64_t peak_resident_bytes = 0;  // of the process, without the bandwidth probe's buffer
  // Nested loops, from the outermost: batch size, context, output length, input length, and eager
  // before compiled.
  std::vector<LatencyCase> cases;
};

// Decodes random prompts greedily; EOS does not end a sequence. On success, the model runs compiled
// or eager as before the call. Errors: options that Validate refuses, and errors of the model.
Result<LatencyResult> MeasureLatency(Llama& model, const LatencyOptions& options);

// The floating-point operations of one sequence's prefill: `tokens` tokens after `context` tokens
// in the KV cache, with logits after the last token. A multiply-add is two operations. The sum is
//     2 · tokens · layers · (the elements of the weight matrices q, k, v, o, gate, up and down)
//   + 4 · layers · heads · head_dim · (the number of positions that each token attends to, summed
//     over the tokens; causal; two operations for q·k and two for the weighted sum of v)
//   + 2 · vocab · hidden, for the head.
// The sum does not include norms, RoPE, softmax and activation functions.
int64_t PrefillFlops(const ModelConfig& config, int64_t context, int64_t tokens);

}  // namespace merope

// The latency benchmark: one batch from prompt to last token, over a grid of batch sizes, depths,
// input and output lengths, after warm-up, with the memory bandwidth and the multiply-add peak
// probed between the runs. Called by `merope bench latency` and the report, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/distribution.h"
#include "model/llama.h"

namespace merope {

struct LatencyOptions {
  std::vector<int64_t> input_lengths = {16, 32, 64, 128};  // the reference report's grid
  std::vector<int64_t> output_lengths = {50, 100};
  std::vector<int64_t> batch_sizes = {1};
  std::vector<int64_t> contexts = {0};  // tokens in the KV cache before the prompt; untimed
  int warmup = 3;                       // runs of each case before those that count
  int repeats = 5;                      // runs of each case that count
  uint64_t seed = 0;                    // of the random prompts
  bool eager_too = false;               // each run also op by op, in turns, as cases of their own
  int threads = 0;                      // of the probes: as many as the model runs on
  std::function<void(int64_t done, int64_t total)> progress;  // in runs
};
inline constexpr int64_t kMaxBatchSize = 128;
// Lengths, counts and the model's context; names the option. KvTokens is the cache that the grid
// needs.
Status Validate(const LatencyOptions& options, int64_t max_model_len);
int64_t KvTokens(const LatencyOptions& options);

// One point of the grid. Seconds, and tokens of the whole batch a second.
struct LatencyCase {
  std::string mode;  // "compiled" or "eager"
  int64_t batch_size = 1, context = 0, input_length = 0, output_length = 0;
  Distribution latency;        // first prompt token in to last token out
  Distribution throughput;     // output tokens / latency
  Distribution ttft;           // until every sequence of the batch has its first token
  Distribution tpot;           // (latency − TTFT) / (output length − 1); zeros where that is 1
  Distribution report_tpot;    // latency / output length: the reference report's
  Distribution inter_token;    // over the single steps of all runs
  Distribution prefill_speed;  // prompt tokens / TTFT
  Distribution bandwidth;      // bytes a second, of the probes around the runs
  // Bytes that a decode step must read (weights, and keys and values of the mean context) over the
  // TPOT, as a share of the mean of the probes before and after the run.
  int64_t decode_bytes = 0;
  Distribution bandwidth_share;
  // Operations of the prefill (PrefillFlops, of the whole batch) over the TTFT, as a share of the
  // mean of the peaks probed before and after the run.
  int64_t prefill_flops = 0;
  Distribution peak;  // operations a second, of the model's own type
  Distribution peak_share;
  // Of a compiled case beside an eager one: the eager run's latency over that of its neighbour.
  std::optional<MeanRatio> speedup;
};

struct LatencyResult {
  std::string backend, precision;
  int threads = 0;
  int warmup = 0, repeats = 0;
  uint64_t seed = 0;
  int64_t weight_bytes = 0;         // resident
  int64_t step_weight_bytes = 0;    // of them, what a decode step reads
  int64_t peak_resident_bytes = 0;  // of the process, the probe's buffer not counted
  std::vector<LatencyCase> cases;   // inputs within outputs within contexts within batch sizes
};

// Greedy decoding of random prompts; EOS ends nothing. Leaves the model as compiled as it was.
Result<LatencyResult> MeasureLatency(Llama& model, const LatencyOptions& options);

// Floating-point operations of one sequence's prefill of `tokens` tokens after `context` others,
// with logits after the last one. A multiply-add is two:
//     2 · tokens · layers · (the elements of q, k, v, o, gate, up and down)
//   + 4 · layers · heads · head_dim · (the positions attended to by each token, summed: the causal
//     half; once for q·k, once for the weighted sum of v)
//   + 2 · vocab · hidden, the head.
// Norms, RoPE, softmax and activations are not counted.
int64_t PrefillFlops(const ModelConfig& config, int64_t context, int64_t tokens);

}  // namespace merope

// The throughput benchmark: many requests at once through the engine, from the first one's arrival
// to the last one's end, with and without speculation in turns, beside the machine's limits of that
// moment. Called by `merope bench throughput`, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "bench/distribution.h"
#include "engine/engine.h"

namespace merope {

struct ThroughputOptions {
  EngineOptions engine;
  std::vector<int64_t> speculative_tokens = {0};  // a case each, which take turns
  int64_t max_concurrency = 0;                    // requests under way at a time; 0: all
  int warmup = 1;                                 // untimed runs of each case
  int repeats = 3;
  int threads = 0;  // of the probes: as many as the model runs on
  std::function<void(int64_t done, int64_t total)> progress;  // in requests
};

struct ThroughputCase {
  int64_t speculative_tokens = 0;
  Distribution seconds, requests_per_second, tokens_per_second, output_tokens_per_second;
  Distribution bandwidth, peak;  // probed around the runs
  // The least time that the machine, as probed around each run, needs for the work (every prompt's
  // operations at its peak, every step's weights and keys and values at its bandwidth) over the
  // time it took. Not of cases that speculate or find prefixes, which leave out some of the work.
  Distribution limit_share;
  // Seconds from a request's submission to its first token: of all; of those that found nothing of
  // their prompt in the prefix cache; of those that found some.
  Distribution ttft, ttft_cold, ttft_cached;
  EngineStats stats;  // of one run
  MeanRatio speedup;  // of output tokens a second, over the first case of the same turn
};

struct ThroughputResult {
  int64_t requests = 0, prompt_tokens = 0, output_tokens = 0;
  std::vector<ThroughputCase> cases;
};

// The least time that a machine of this peak (operations a second) and bandwidth (bytes a second)
// needs: every prompt's operations at the peak; then, at the bandwidth, the weights once for every
// further step of decoding, and the keys and values of the sequences in it. There are as many of
// these steps as the longest output makes necessary, or max_num_seqs sequences in one step at most.
struct RequestTokens {
  int64_t prompt = 0, output = 0;
};
double LeastSeconds(const Llama& model, std::span<const RequestTokens> requests,
                    int64_t max_num_seqs, double peak, double bandwidth);

// An error where two cases give different tokens: they may not.
Result<ThroughputResult> MeasureThroughput(Llama& model, const Tokenizer& tokenizer,
                                           const std::vector<Request>& requests,
                                           const ThroughputOptions& options);

}  // namespace merope

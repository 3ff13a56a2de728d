// The throughput benchmark. It runs many requests at once through the engine, and measures the time
// from the arrival of the first request to the end of the last request. Runs with and without
// speculation alternate. The benchmark also probes the limits of the machine around each run.
// Called by `merope bench throughput`, on the caller's thread.
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
  // Each value is one case. The cases run alternately.
  std::vector<int64_t> speculative_tokens = {0};
  int64_t max_concurrency = 0;  // requests in the engine at the same time; 0: all
  int warmup = 1;               // untimed runs of each case
  int repeats = 3;              // timed runs of each case
  int threads = 0;  // threads of the probes, as many as the model has; 0: DefaultThreads()
  std::function<void(int64_t done, int64_t total)> progress;  // in requests
};

struct ThroughputCase {
  int64_t speculative_tokens = 0;
  Distribution seconds, requests_per_second, tokens_per_second, output_tokens_per_second;
  Distribution bandwidth, peak;  // bytes and operations per second, probed around all runs
  // LeastSeconds (with the peak and the bandwidth probed around the run) over the measured time of
  // the run. The share has no meaning for cases that speculate or that hit the prefix cache,
  // because these cases do not do all of the work that LeastSeconds counts.
  Distribution limit_share;
  // Seconds from the submission of a request to its first token. ttft: all requests. ttft_cold:
  // requests whose prompt had no hit in the prefix cache. ttft_cached: requests that had a hit.
  Distribution ttft, ttft_cold, ttft_cached;
  EngineStats stats;  // of the last run
  // Ratio of output tokens per second: this case over the first case, paired by repeat.
  MeanRatio speedup;
};

struct ThroughputResult {
  int64_t requests = 0, prompt_tokens = 0, output_tokens = 0;
  std::vector<ThroughputCase> cases;
};

// LeastSeconds returns the least time that a machine needs, at this peak (operations per second)
// and this bandwidth (bytes per second). The time is the sum of two parts: the operations of all
// prompts at the peak, and the bytes of all decode steps at the bandwidth. A decode step reads the
// weights once, and the keys and values of the step's sequences. The number of decode steps is the
// larger of two numbers: the steps that the longest output needs, and the steps that all outputs
// need with max_num_seqs sequences in each step.
struct RequestTokens {
  int64_t prompt = 0, output = 0;
};
double LeastSeconds(const Llama& model, std::span<const RequestTokens> requests,
                    int64_t max_num_seqs, double peak, double bandwidth);

// Returns an error if two runs give different tokens, within a case or across cases. Other errors:
// invalid options, and errors of the engine.
Result<ThroughputResult> MeasureThroughput(Llama& model, const Tokenizer& tokenizer,
                                           const std::vector<Request>& requests,
                                           const ThroughputOptions& options);

}  // namespace merope

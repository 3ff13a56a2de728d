// The latency benchmark of a server: one request at a time, over a grid of lengths. Called by
// `merope bench latency --endpoint` and `merope report --endpoint`, on the caller's thread.
//
// The reference report: the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/distribution.h"
#include "endpoint/endpoint.h"

namespace merope {

struct EndpointLatencyOptions {
  std::vector<int64_t> input_lengths = {16, 32, 64, 128};  // the reference report's grid
  std::vector<int64_t> output_lengths = {50, 100};
  int warmup = 3;             // runs of each case that do not count; they come first
  int repeats = 5;            // runs of each case that count
  uint64_t seed = 0;          // for the random prompts, which all differ
  int64_t vocab_size = 1000;  // prompts have random token ids in [0, vocab_size)
  std::function<void(int64_t done, int64_t total)> progress{};  // in runs
};

// One point of the grid. Units: seconds, and generated tokens per second.
struct EndpointLatencyCase {
  std::string mode;  // "compiled" or "eager"
  int64_t input_length = 0, output_length = 0;
  Distribution latency;      // from sending the request to the end of the answer
  Distribution throughput;   // output tokens / latency
  Distribution ttft;         // until the first chunk of text
  Distribution tpot;         // (time of the last chunk − TTFT) / (output length − 1)
  Distribution report_tpot;  // latency / output length: the reference report's definition
  // Only for a compiled case with an eager counterpart: the latency of an eager run over the
  // latency of the compiled run next to it.
  std::optional<MeanRatio> speedup{};
};

// Checks the lengths and the counts; its error names the option.
Status Validate(const EndpointLatencyOptions& options);

// Streams greedy generations that EOS does not end. `eager`: a second server, which runs the same
// model without compilation; its runs alternate with those of the first. nullptr: none. Errors:
// options that Validate refuses; a failed request; an answer with another number of tokens than
// asked.
Result<std::vector<EndpointLatencyCase>> MeasureEndpointLatency(
    Endpoint& endpoint, Endpoint* eager, const EndpointLatencyOptions& options);

// A prompt of random token ids.
std::vector<int32_t> RandomIds(int64_t length, int64_t vocab_size, uint64_t seed);

}  // namespace merope

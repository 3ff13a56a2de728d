// Benchmarks from the user's choices to the result: opens the model or the servers, measures, and
// keeps what the result is about. Called by `merope bench latency`, `merope bench serve` and by
// Python's merope.bench, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "bench/endpoint_latency.h"
#include "bench/latency.h"
#include "bench/serve.h"
#include "endpoint/endpoint.h"

namespace merope {

using BenchProgress = std::function<void(std::string_view phase, int64_t done, int64_t total)>;

// Models are paths. The texts are as ParsePrecision, ParseWeightStorage and ParseKvStorage read
// them.
struct LatencyRequest {
  std::string model;
  std::vector<std::string> dtypes = {"auto"};  // one is loaded after the measurement of another
  std::vector<std::string> modes = {"eager", "compiled"};  // either, or both alternately
  std::string weights = "auto", kv = "auto";
  int64_t max_model_len = 0;  // 0: the checkpoint's
  std::optional<uint64_t> kv_cache_bytes;
  LatencyOptions grid;  // eager_too and progress are set by RunLatency
};
struct LatencyOfDtype {
  double load_seconds = 0;
  LatencyResult result;
};
struct LatencyRun {
  std::string model;  // path
  double open_seconds = 0;
  std::vector<LatencyOfDtype> dtypes;
};
// The phases of progress are "measuring DTYPE".
Result<LatencyRun> RunLatency(const LatencyRequest& request, const BenchProgress& progress);

struct EndpointLatencyRequest {
  std::string model;  // the random prompts are of its vocabulary; empty: vocab_size of the grid
  EndpointOptions endpoint;
  std::string eager_url;  // a second server with the same options; empty: none
  EndpointLatencyOptions grid;
};
struct EndpointLatencyRun {
  ServerFacts server;
  EndpointLatencyOptions grid;
  std::vector<EndpointLatencyCase> cases;
};
Result<EndpointLatencyRun> RunEndpointLatency(EndpointLatencyRequest request,
                                              const BenchProgress& progress);

struct ServeRequest {
  std::string model;  // the random prompts are of its vocabulary; empty: options.vocab_size
  EndpointOptions endpoint;
  ServeBenchOptions options;
};
struct ServeRun {
  ServerFacts server;
  ServeBenchResult result;
};
Result<ServeRun> RunServe(ServeRequest request, const BenchProgress& progress);

// What the commands print with --json.
Json ToJson(const LatencyRun& run);
Json ToJson(const EndpointLatencyRun& run);
Json ToJson(const ServeRun& run);

}  // namespace merope

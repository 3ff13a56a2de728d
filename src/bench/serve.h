// The serving benchmark: many requests to a server, at a rate or at a number at the same time. Its
// figures are defined as those of `vllm bench serve`. Called by `merope bench serve` and `merope
// report --endpoint`, on the caller's thread; each request at the same time has a thread.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "bench/distribution.h"
#include "endpoint/endpoint.h"

namespace merope {

// Limits of a good request. Unit: seconds. nullopt: no limit.
struct Goodput {
  std::optional<double> ttft{}, tpot{}, e2el{};
  bool any() const { return ttft || tpot || e2el; }
};

struct ServeBenchOptions {
  int64_t num_prompts = 100;
  int64_t input_length = 512, output_length = 128;  // tokens; EOS ends no answer
  // Requests per second. The times between requests are gamma-distributed with this shape
  // (burstiness); 1 is a Poisson process. Infinite: all at once.
  double request_rate = std::numeric_limits<double>::infinity();
  double burstiness = 1;
  int64_t max_concurrency = 0;  // 0: no limit but kMaxServeThreads
  int64_t num_warmups = 0;      // requests before the measurement
  double temperature = 0;
  uint64_t seed = 0;
  int64_t vocab_size = 1000;  // prompts have random token ids in [0, vocab_size)
  Goodput goodput{};
  StopFlag stop{};  // ends the benchmark with an error; the requests end by the endpoint's own
  std::function<void(int64_t done, int64_t total)> progress{};  // in requests
};
inline constexpr int64_t kMaxServeThreads = 1024, kMaxServePrompts = 1'000'000,
                         kMaxServeWarmups = 10'000;
inline constexpr double kLeastBurstiness = 1e-3, kMostBurstiness = 1e6, kMaxTemperature = 2;
// Checks every option; its error names the option.
Status Validate(const ServeBenchOptions& options);
// Reads "inf" or a positive number.
Result<double> ParseRate(std::string_view text);
// Reads "ttft:200", "tpot:50" or "e2el:4000", in milliseconds, into the limit of this name.
Status ParseGoodput(std::string_view text, Goodput* goodput);

// Units: seconds, and tokens or requests per second. The distributions are over the requests; that
// of itl is over the times between two chunks of all requests.
struct ServeBenchResult {
  int64_t completed = 0, failed = 0;
  std::string first_failure{};
  double duration = 0;
  int64_t input_tokens = 0, output_tokens = 0;
  double request_throughput = 0, output_throughput = 0, total_throughput = 0;
  std::optional<double> request_goodput{};
  double peak_output_throughput = 0;  // the most chunks that arrived within one second of the run
  int64_t peak_concurrency = 0;
  std::optional<Distribution> ttft{}, tpot{}, itl{}, e2el{};  // nullopt: no request has such a time
};

// Errors: options that Validate refuses. A failed request is counted.
Result<ServeBenchResult> MeasureServing(Endpoint& endpoint, const ServeBenchOptions& options);

}  // namespace merope

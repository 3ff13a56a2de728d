#include "bench/endpoint_latency.h"

#include <array>
#include <random>
#include <utility>

#include "bench/latency.h"

namespace merope {
namespace {

// The values of the runs of one case.
struct RunTimes {
  std::vector<double> latency, throughput, ttft, tpot, report_tpot;
};

EndpointLatencyCase ToCase(std::string mode, int64_t input_length, int64_t output_length,
                           const RunTimes& runs) {
  return {.mode = std::move(mode),
          .input_length = input_length,
          .output_length = output_length,
          .latency = Summarize(runs.latency),
          .throughput = Summarize(runs.throughput),
          .ttft = Summarize(runs.ttft),
          .tpot = Summarize(runs.tpot),
          .report_tpot = Summarize(runs.report_tpot)};
}

Status TimeRun(Endpoint& endpoint, const CompletionQuery& query, RunTimes* runs) {
  const StreamTimes times = endpoint.Stream(query);
  if (!times.failure.empty()) return Err("{}", times.failure);
  if (times.n_tokens != query.max_tokens)
    return Err("{}: expected {} generated tokens, found {}: the server does not apply ignore_eos",
               endpoint.facts().url, query.max_tokens, times.n_tokens);
  const auto n = static_cast<double>(times.n_tokens);
  runs->latency.push_back(times.end);
  runs->throughput.push_back(n / times.end);
  runs->ttft.push_back(times.arrivals.front());
  runs->tpot.push_back(n > 1 ? (times.arrivals.back() - times.arrivals.front()) / (n - 1) : 0);
  runs->report_tpot.push_back(times.end / n);
  return {};
}

}  // namespace

std::vector<int32_t> RandomIds(int64_t length, int64_t vocab_size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int32_t> ids(static_cast<size_t>(length));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size));
  return ids;
}

Status Validate(const EndpointLatencyOptions& options) {
  TRY(CheckValues("input-len", options.input_lengths, 1, kMaxPositions));
  TRY(CheckValues("output-len", options.output_lengths, 1, kMaxPositions));
  return CheckRuns(options.warmup, options.repeats);
}

Result<std::vector<EndpointLatencyCase>> MeasureEndpointLatency(
    Endpoint& endpoint, Endpoint* eager, const EndpointLatencyOptions& options) {
  TRY(Validate(options));
  const int runs = options.warmup + options.repeats;
  const int64_t modes = eager == nullptr ? 1 : 2;
  const int64_t total = static_cast<int64_t>(options.input_lengths.size()) *
                        static_cast<int64_t>(options.output_lengths.size()) * runs * modes;
  int64_t done = 0;
  uint64_t prompt = options.seed << 20;  // the prompts of two seeds differ
  std::vector<EndpointLatencyCase> cases;
  for (const int64_t output_length : options.output_lengths)
    for (const int64_t input_length : options.input_lengths) {
      std::array<RunTimes, 2> times;  // eager, compiled
      for (int run = 0; run < runs; ++run) {
        const CompletionQuery query{.ids = RandomIds(input_length, options.vocab_size, prompt++),
                                    .max_tokens = output_length};
        for (const bool compiled : {false, true}) {
          Endpoint* server = compiled ? &endpoint : eager;
          if (server == nullptr) continue;
          RunTimes warming;
          TRY(TimeRun(*server, query, run < options.warmup ? &warming : &times[compiled]));
          if (options.progress) options.progress(++done, total);
        }
      }
      if (eager != nullptr) cases.push_back(ToCase("eager", input_length, output_length, times[0]));
      cases.push_back(ToCase("compiled", input_length, output_length, times[1]));
      if (eager != nullptr) {
        std::vector<double> ratios;
        for (size_t i = 0; i < times[0].latency.size(); ++i)
          ratios.push_back(times[0].latency[i] / times[1].latency[i]);
        cases.back().speedup = MeanOfRatios(ratios);
      }
    }
  return cases;
}

}  // namespace merope

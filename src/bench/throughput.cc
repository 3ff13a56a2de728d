#include "bench/throughput.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "bench/latency.h"
#include "bench/probes.h"
#include "engine/event_queue.h"

namespace merope {
namespace {

// The results of one run of all requests.
struct Job {
  double seconds = 0;
  // Indexed by request:
  std::vector<double> ttft;     // seconds from submission to the first token
  std::vector<int64_t> cached;  // prompt tokens found in the prefix cache
  std::vector<std::vector<int32_t>> ids;
  EngineStats stats = {};
};

struct ThroughputSamples {
  std::vector<double> seconds, limit_share, speedup, ttft_cold, ttft_cached;
};

class Measurement {
 public:
  Measurement(Llama& model, const Tokenizer& tokenizer, const std::vector<Request>& requests,
              const ThroughputOptions& options)
      : model_(model),
        tokenizer_(tokenizer),
        requests_(requests),
        options_(options),
        probes_(options.threads > 0 ? options.threads : DefaultThreads(),
                PeakOf(model.backend().precision())) {}

  Result<ThroughputResult> Run() {
    const size_t n = options_.speculative_tokens.size();
    for (size_t i = 0; i < n; ++i)
      for (int j = 0; j < options_.warmup; ++j) TRY(RunJob(i));
    std::vector<ThroughputSamples> samples(n);
    probes_.Measure();
    for (int j = 0; j < options_.repeats; ++j)
      for (size_t i = 0; i < n; ++i) {
        TRY_ASSIGN(const Job job, RunJob(i));
        probes_.Measure();
        samples[i].seconds.push_back(job.seconds);
        samples[i].limit_share.push_back(LeastSecondsOf(job) / job.seconds);
        samples[i].speedup.push_back(samples[0].seconds.back() / job.seconds);
        for (size_t r = 0; r < requests_.size(); ++r)
          (job.cached[r] > 0 ? samples[i].ttft_cached : samples[i].ttft_cold)
              .push_back(job.ttft[r]);
        stats_.resize(n);
        stats_[i] = job.stats;
      }
    return Summarized(samples);
  }

 private:
  Result<Job> RunJob(size_t i) {
    EngineOptions engine_options = options_.engine;
    engine_options.speculative_tokens = options_.speculative_tokens[i];
    Engine engine(model_, tokenizer_, engine_options);
    engine.ResetPrefixCache();
    EventQueue queue;
    const size_t n = requests_.size();
    const size_t together =
        options_.max_concurrency > 0 ? static_cast<size_t>(options_.max_concurrency) : n;
    Job job{.ttft = std::vector<double>(n),
            .cached = std::vector<int64_t>(n),
            .ids = std::vector<std::vector<int32_t>>(n)};
    const Stopwatch watch;
    size_t submitted = 0, ended = 0;
    while (ended < n) {
      for (; submitted < n && submitted - ended < together; ++submitted) {
        job.ttft[submitted] = -watch.Seconds();
        TRY(engine.Submit(requests_[submitted], queue.Sink(submitted)));
      }
      for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(1))) {
        const Event& event = tagged.event;
        if (event.error) return std::unexpected(*event.error);
        std::vector<int32_t>& ids = job.ids[tagged.tag];
        if (ids.empty()) {
          job.ttft[tagged.tag] += watch.Seconds();
          job.cached[tagged.tag] = event.cached_tokens;
        }
        ids.insert(ids.end(), event.ids.begin(), event.ids.end());
        ended += event.last;
        if (event.last && options_.progress) options_.progress(++done_, Total());
      }
    }
    job.seconds = watch.Seconds();
    job.stats = engine.stats();
    if (!ids_) ids_ = job.ids;
    if (*ids_ != job.ids) return Err("two runs of the same requests gave different tokens");
    return job;
  }

  int64_t Total() const {
    return std::ssize(requests_) * std::ssize(options_.speculative_tokens) *
           (options_.warmup + options_.repeats);
  }

  double LeastSecondsOf(const Job& job) const {
    std::vector<RequestTokens> tokens;
    for (size_t r = 0; r < requests_.size(); ++r)
      tokens.push_back({std::ssize(requests_[r].prompt), std::ssize(job.ids[r])});
    return LeastSeconds(model_, tokens, options_.engine.max_num_seqs, probes_.peak(),
                        probes_.bandwidth());
  }

  ThroughputResult Summarized(std::vector<ThroughputSamples>& samples) const {
    ThroughputResult result;
    result.requests = std::ssize(requests_);
    for (size_t r = 0; r < requests_.size(); ++r) {
      result.prompt_tokens += std::ssize(requests_[r].prompt);
      result.output_tokens += std::ssize((*ids_)[r]);
    }
    const auto rate = [](int64_t n, const std::vector<double>& seconds) {
      std::vector<double> rates;
      for (const double s : seconds) rates.push_back(static_cast<double>(n) / s);
      return Summarize(std::move(rates));
    };
    for (size_t i = 0; i < samples.size(); ++i) {
      ThroughputSamples& of = samples[i];
      std::vector<double> ttft = of.ttft_cold;
      ttft.insert(ttft.end(), of.ttft_cached.begin(), of.ttft_cached.end());
      const auto summarize = [](std::vector<double>& values) {
        return values.empty() ? Distribution{} : Summarize(std::move(values));
      };
      result.cases.push_back(
          {.speculative_tokens = options_.speculative_tokens[i],
           .seconds = Summarize(of.seconds),
           .requests_per_second = rate(result.requests, of.seconds),
           .tokens_per_second = rate(result.prompt_tokens + result.output_tokens, of.seconds),
           .output_tokens_per_second = rate(result.output_tokens, of.seconds),
           .bandwidth = probes_.bandwidths(),
           .peak = probes_.peaks(),
           .limit_share = Summarize(of.limit_share),
           .ttft = Summarize(std::move(ttft)),
           .ttft_cold = summarize(of.ttft_cold),
           .ttft_cached = summarize(of.ttft_cached),
           .stats = stats_[i],
           .speedup = MeanOfRatios(of.speedup)});
    }
    return result;
  }

  Llama& model_;
  const Tokenizer& tokenizer_;
  const std::vector<Request>& requests_;
  const ThroughputOptions& options_;
  Probes probes_;
  std::optional<std::vector<std::vector<int32_t>>> ids_;  // of the first run
  std::vector<EngineStats> stats_;                        // of each case's last run
  int64_t done_ = 0;
};

}  // namespace

double LeastSeconds(const Llama& model, std::span<const RequestTokens> requests,
                    int64_t max_num_seqs, double peak, double bandwidth) {
  double operations = 0, bytes = 0;
  int64_t decoded = 0;
  for (const RequestTokens& request : requests) {
    const int64_t n = request.output - 1;
    operations += static_cast<double>(PrefillFlops(model.config(), 0, request.prompt));
    decoded += n;
    // There are n decode steps. Step i attends to prompt + i positions.
    bytes += static_cast<double>(model.kv_token_bytes()) * static_cast<double>(n) *
             (static_cast<double>(request.prompt) + static_cast<double>(n + 1) / 2);
  }
  const int64_t longest = std::ranges::max(requests, {}, &RequestTokens::output).output - 1;
  const int64_t steps = std::max<int64_t>(longest, (decoded + max_num_seqs - 1) / max_num_seqs);
  bytes += static_cast<double>(model.step_weight_bytes()) * static_cast<double>(steps);
  return operations / peak + bytes / bandwidth;
}

Result<ThroughputResult> MeasureThroughput(Llama& model, const Tokenizer& tokenizer,
                                           const std::vector<Request>& requests,
                                           const ThroughputOptions& options) {
  if (options.repeats < 1 || options.warmup < 0)
    return Err("repeats: expected 1 or more, found {}; warmup: 0 or more, found {}",
               options.repeats, options.warmup);
  if (options.max_concurrency < 0)
    return Err("max-concurrency: expected 0 (all at once) or more, found {}",
               options.max_concurrency);
  if (options.speculative_tokens.empty()) return Err("speculative-tokens: expected a number");
  return Measurement(model, tokenizer, requests, options).Run();
}

}  // namespace merope

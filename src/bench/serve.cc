#include "bench/serve.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <new>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "base/stopwatch.h"
#include "bench/endpoint_latency.h"

namespace merope {
namespace {

struct Served {
  double start = 0;  // seconds since the start of the run
  StreamTimes times;
};

// When each request is to be sent. Unit: seconds.
std::vector<double> Arrivals(const ServeBenchOptions& options) {
  std::vector<double> arrivals(static_cast<size_t>(options.num_prompts));
  if (!(options.request_rate < std::numeric_limits<double>::infinity())) return arrivals;
  std::mt19937_64 random(options.seed);
  std::gamma_distribution<double> between(options.burstiness,
                                          1 / (options.request_rate * options.burstiness));
  double now = 0;
  for (double& arrival : arrivals) {
    arrival = now;
    now += between(random);
  }
  return arrivals;
}

std::optional<Distribution> SummarizeAny(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  return Summarize(std::move(values));
}

// Excludes the first token; nullopt for an answer of one token.
std::optional<double> TimePerToken(const StreamTimes& times) {
  if (times.n_tokens < 2) return std::nullopt;
  return (times.arrivals.back() - times.arrivals.front()) / static_cast<double>(times.n_tokens - 1);
}

bool IsGood(const StreamTimes& times, const Goodput& limits) {
  const auto within = [](std::optional<double> limit, double value) {
    return !limit || value <= *limit;
  };
  return within(limits.ttft, times.arrivals.front()) &&
         within(limits.tpot, TimePerToken(times).value_or(0)) && within(limits.e2el, times.end);
}

// The most values that lie in one whole second.
double MostPerSecond(const std::vector<double>& times) {
  std::vector<int64_t> seconds;
  for (const double time : times) {
    const auto second = static_cast<size_t>(time);
    if (seconds.size() <= second) seconds.resize(second + 1);
    ++seconds[second];
  }
  return seconds.empty() ? 0 : static_cast<double>(std::ranges::max(seconds));
}

int64_t MostAtATime(const std::vector<Served>& served) {
  std::vector<std::pair<double, int>> changes;
  for (const Served& s : served) {
    changes.emplace_back(s.start, 1);
    changes.emplace_back(s.start + s.times.end, -1);
  }
  std::ranges::sort(changes);
  int64_t now = 0, most = 0;
  for (const auto& [time, change] : changes) most = std::max(most, now += change);
  return most;
}

ServeBenchResult Evaluate(const std::vector<Served>& served, double duration,
                          const ServeBenchOptions& options) {
  ServeBenchResult result;
  result.duration = duration;
  std::vector<double> ttft, tpot, itl, e2el, chunks;
  int64_t good = 0;
  for (const Served& s : served) {
    const StreamTimes& times = s.times;
    if (!times.failure.empty()) {
      if (result.failed++ == 0) result.first_failure = times.failure;
      continue;
    }
    ++result.completed;
    result.input_tokens += times.n_prompt_tokens;
    result.output_tokens += times.n_tokens;
    ttft.push_back(times.arrivals.front());
    e2el.push_back(times.end);
    if (const auto per_token = TimePerToken(times)) tpot.push_back(*per_token);
    for (size_t i = 1; i < times.arrivals.size(); ++i)
      itl.push_back(times.arrivals[i] - times.arrivals[i - 1]);
    for (const double arrival : times.arrivals) chunks.push_back(s.start + arrival);
    good += IsGood(times, options.goodput);
  }
  result.request_throughput = static_cast<double>(result.completed) / duration;
  result.output_throughput = static_cast<double>(result.output_tokens) / duration;
  result.total_throughput =
      static_cast<double>(result.input_tokens + result.output_tokens) / duration;
  if (options.goodput.any()) result.request_goodput = static_cast<double>(good) / duration;
  result.peak_output_throughput = MostPerSecond(chunks);
  result.peak_concurrency = MostAtATime(served);
  result.ttft = SummarizeAny(std::move(ttft));
  result.tpot = SummarizeAny(std::move(tpot));
  result.itl = SummarizeAny(std::move(itl));
  result.e2el = SummarizeAny(std::move(e2el));
  return result;
}

}  // namespace

Result<ServeBenchResult> MeasureServing(Endpoint& endpoint, const ServeBenchOptions& options) {
  const int64_t width = options.max_concurrency > 0
                            ? std::min(options.max_concurrency, options.num_prompts)
                            : options.num_prompts;
  if (width > kMaxServeThreads)
    return Err("max-concurrency: expected at most {} requests at the same time, found {}",
               kMaxServeThreads, width);
  const auto query = [&](int64_t i) {
    return CompletionQuery{.ids = RandomIds(options.input_length, options.vocab_size,
                                            (options.seed << 20) + static_cast<uint64_t>(i)),
                           .max_tokens = options.output_length,
                           .temperature = options.temperature};
  };
  for (int64_t i = 0; i < options.num_warmups; ++i) endpoint.Stream(query(options.num_prompts + i));

  const std::vector<double> arrivals = Arrivals(options);
  std::vector<Served> served(arrivals.size());
  std::vector<Endpoint> clients;
  for (int64_t i = 0; i < width; ++i) clients.push_back(endpoint.Again());
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  int64_t done = 0;
  const Stopwatch watch;
  const auto work = [&](Endpoint& client) {
    for (int64_t i = next++; i < options.num_prompts; i = next++) {
      Served& mine = served[static_cast<size_t>(i)];
      const CompletionQuery mine_query = query(i);
      const double wait = arrivals[static_cast<size_t>(i)] - watch.Seconds();
      if (wait > 0) std::this_thread::sleep_for(std::chrono::duration<double>(wait));
      mine.start = watch.Seconds();
      try {
        mine.times = client.Stream(mine_query);
      } catch (const std::bad_alloc&) {
        mine.times.failure = "expected memory for an answer, found none";
      }
      const std::scoped_lock lock(mutex);
      if (options.progress) options.progress(++done, options.num_prompts);
    }
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (Endpoint& client : clients) threads.emplace_back(work, std::ref(client));
    } catch (const std::system_error&) {
      next = options.num_prompts;  // the threads that exist end soon
      throw;
    }
  }
  return Evaluate(served, watch.Seconds(), options);
}

}  // namespace merope

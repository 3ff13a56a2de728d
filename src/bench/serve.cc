#include "bench/serve.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <mutex>
#include <new>
#include <random>
#include <system_error>
#include <thread>
#include <utility>

#include "base/stopwatch.h"
#include "bench/endpoint_latency.h"
#include "checkpoint/config.h"

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

// The most requests at the same time.
int64_t Width(const ServeBenchOptions& options) {
  return options.max_concurrency > 0 ? std::min(options.max_concurrency, options.num_prompts)
                                     : options.num_prompts;
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

// Waits until this time of the watch. A raised stop ends a wait that it can end.
void WaitUntil(double seconds, const Stopwatch& watch, const StopFlag& stop) {
  constexpr double kLook = 0.25;
  while (!stop.raised()) {
    const double wait = seconds - watch.Seconds();
    if (wait <= 0) return;
    std::this_thread::sleep_for(
        std::chrono::duration<double>(stop.armed() ? std::min(wait, kLook) : wait));
  }
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

Result<double> ParseRate(std::string_view text) {
  if (text == "inf") return std::numeric_limits<double>::infinity();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) ||
      !std::isfinite(value))
    return FieldErr("request-rate", "expected a positive number or inf, found \"{}\"", text);
  return value;
}

Status ParseGoodput(std::string_view text, Goodput* goodput) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  std::optional<double>* limit = name == "ttft"   ? &goodput->ttft
                                 : name == "tpot" ? &goodput->tpot
                                 : name == "e2el" ? &goodput->e2el
                                                  : nullptr;
  const std::string_view number = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  double milliseconds = 0;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), milliseconds);
  if (limit == nullptr || error != std::errc() || end != number.data() + number.size() ||
      !(milliseconds > 0))
    return FieldErr("goodput", "expected ttft:MS, tpot:MS or e2el:MS, found \"{}\"", text);
  *limit = milliseconds / 1e3;
  return {};
}

Status Validate(const ServeBenchOptions& options) {
  const struct {
    const char* name;
    double value, least, most;
  } ranges[] = {
      {"num-prompts", static_cast<double>(options.num_prompts), 1, kMaxServePrompts},
      {"input-len", static_cast<double>(options.input_length), 1, kMaxPositions},
      {"output-len", static_cast<double>(options.output_length), 1, kMaxPositions},
      {"burstiness", options.burstiness, kLeastBurstiness, kMostBurstiness},
      {"max-concurrency", static_cast<double>(options.max_concurrency), 0, kMaxServeThreads},
      {"num-warmups", static_cast<double>(options.num_warmups), 0, kMaxServeWarmups},
      {"temperature", options.temperature, 0, kMaxTemperature}};
  for (const auto& [name, value, least, most] : ranges)
    if (!(value >= least && value <= most))
      return FieldErr(name, "expected {} to {}, found {}", least, most, value);
  if (!(options.request_rate > 0))
    return FieldErr("request-rate", "expected a positive number or inf, found {}",
                    options.request_rate);
  if (Width(options) > kMaxServeThreads)
    return FieldErr("max-concurrency", "expected at most {} requests at the same time, found {}",
                    kMaxServeThreads, Width(options));
  return {};
}

Result<ServeBenchResult> MeasureServing(Endpoint& endpoint, const ServeBenchOptions& options) {
  TRY(Validate(options));
  const int64_t width = Width(options);
  const auto query = [&](int64_t i) {
    return CompletionQuery{.ids = RandomIds(options.input_length, options.vocab_size,
                                            (options.seed << 20) + static_cast<uint64_t>(i)),
                           .max_tokens = options.output_length,
                           .temperature = options.temperature};
  };
  for (int64_t i = 0; i < options.num_warmups; ++i) {
    endpoint.Stream(query(options.num_prompts + i));
    TRY(options.stop.Check());
  }

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
      WaitUntil(arrivals[static_cast<size_t>(i)], watch, options.stop);
      if (options.stop.raised()) return;
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
  TRY(options.stop.Check());
  return Evaluate(served, watch.Seconds(), options);
}

}  // namespace merope

#include "bench/throughput.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bench/bench_json.h"
#include "bench/latency.h"
#include "tests/engine/tiny_model.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

class Throughput : public testing::Test {
 protected:
  static std::vector<Request> Requests(const std::vector<RequestTokens>& sizes) {
    std::vector<Request> requests;
    for (const RequestTokens& size : sizes) {
      Request& request = requests.emplace_back();
      for (int64_t i = 0; i < size.prompt; ++i)
        request.prompt.push_back(static_cast<int32_t>((i * 37 + std::ssize(requests) * 11) % 400));
      request.params = {.temperature = 0,
                        .max_tokens = size.output,
                        .ignore_eos = true,
                        .output_kind = OutputKind::kDelta};
    }
    return requests;
  }
  Result<ThroughputResult> Measure(const std::vector<Request>& requests,
                                   const ThroughputOptions& options) {
    return MeasureThroughput(*loaded_.runtime.model, loaded_.tokenizer, requests, options);
  }
  // One run of each case, on one thread, without a warm-up.
  static ThroughputOptions Once() {
    ThroughputOptions options;
    options.warmup = 0;
    options.repeats = options.threads = 1;
    return options;
  }

  TinyCheckpoint files_{200};
  LoadedModel loaded_ = files_.Load({.max_num_seqs = 4});
};

TEST_F(Throughput, Defaults) {
  const ThroughputOptions o;
  EXPECT_EQ(o.speculative_tokens, std::vector<int64_t>{0});
  EXPECT_EQ(o.max_concurrency, 0);
  EXPECT_EQ(o.warmup, 1);
  EXPECT_EQ(o.repeats, 3);
  EXPECT_EQ(o.threads, 0);
}

TEST_F(Throughput, RefusedByName) {
  const std::vector<Request> requests = Requests({{4, 2}});
  const auto error = [&](const auto& change) {
    ThroughputOptions options = Once();
    change(options);
    return ErrorOf(Measure(requests, options));
  };
  EXPECT_EQ(error([](auto& o) { o.repeats = 0; }),
            "repeats: expected 1 or more, found 0; warmup: 0 or more, found 0");
  EXPECT_EQ(error([](auto& o) { o.warmup = -1; }),
            "repeats: expected 1 or more, found 1; warmup: 0 or more, found -1");
  EXPECT_EQ(error([](auto& o) { o.max_concurrency = -1; }),
            "max-concurrency: expected 0 (all at once) or more, found -1");
  EXPECT_EQ(error([](auto& o) { o.speculative_tokens.clear(); }),
            "speculative-tokens: expected a number");
}

TEST_F(Throughput, LeastSecondsByHand) {
  const Llama& model = loaded_.model();
  const auto flops = [&](int64_t prompt) {
    return static_cast<double>(PrefillFlops(model.config(), 0, prompt));
  };
  const auto weights = static_cast<double>(model.step_weight_bytes()),
             kv = static_cast<double>(model.kv_token_bytes());
  // Prompts of 10 and 30 tokens, outputs of 4 and 6 tokens. With a peak of 1, the seconds are the
  // operations. With a bandwidth of 1, the seconds are the bytes.
  const RequestTokens two[] = {{10, 4}, {30, 6}};
  const double positions = (11 + 12 + 13) + (31 + 32 + 33 + 34 + 35);
  EXPECT_DOUBLE_EQ(LeastSeconds(model, two, 8, 1, 1e300), flops(10) + flops(30));
  // The longest output needs five decode steps after its first token.
  EXPECT_DOUBLE_EQ(LeastSeconds(model, two, 8, 1e300, 1), 5 * weights + kv * positions);
  EXPECT_DOUBLE_EQ(LeastSeconds(model, two, 2, 1e300, 1), 5 * weights + kv * positions);
  // One sequence at a time: all 3 + 5 decode steps.
  EXPECT_DOUBLE_EQ(LeastSeconds(model, two, 1, 1e300, 1), 8 * weights + kv * positions);
  EXPECT_DOUBLE_EQ(LeastSeconds(model, two, 8, 4, 2),
                   (flops(10) + flops(30)) / 4 + (5 * weights + kv * positions) / 2);
  // Seven sequences with one more token each, three at a time: three decode steps.
  const std::vector<RequestTokens> seven(7, {10, 2});
  EXPECT_DOUBLE_EQ(LeastSeconds(model, seven, 3, 1e300, 1), 3 * weights + 7 * kv * 11);
  const RequestTokens one[] = {{10, 1}};
  EXPECT_EQ(LeastSeconds(model, one, 8, 1e300, 1), flops(10) / 1e300);
}

TEST_F(Throughput, FiguresFollowFromTheTimeAndTheProbes) {
  const std::vector<RequestTokens> sizes = {{20, 4}, {40, 6}, {5, 1}};
  ThroughputOptions options = Once();
  options.engine.max_num_seqs = 2;
  std::vector<std::pair<int64_t, int64_t>> progress;
  options.progress = [&](int64_t done, int64_t total) { progress.emplace_back(done, total); };
  const auto result = Measure(Requests(sizes), options);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_EQ(progress, (std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {2, 3}, {3, 3}}));
  EXPECT_EQ(result->requests, 3);
  EXPECT_EQ(result->prompt_tokens, 65);
  EXPECT_EQ(result->output_tokens, 11);
  ASSERT_EQ(result->cases.size(), 1u);
  const ThroughputCase& c = result->cases[0];
  const double seconds = c.seconds.p50;
  EXPECT_GT(seconds, 0);
  EXPECT_DOUBLE_EQ(c.requests_per_second.p50, 3 / seconds);
  EXPECT_DOUBLE_EQ(c.tokens_per_second.p50, 76 / seconds);
  EXPECT_DOUBLE_EQ(c.output_tokens_per_second.p50, 11 / seconds);
  // Two probes: before and after the run.
  EXPECT_GT(c.peak.min, 1e7);
  EXPECT_GT(c.bandwidth.min, 1e8);
  EXPECT_NEAR(c.limit_share.p50 * seconds /
                  LeastSeconds(*loaded_.runtime.model, sizes, 2, c.peak.mean, c.bandwidth.mean),
              1, 1e-12);
  EXPECT_GT(c.ttft.min, 0);
  EXPECT_LE(c.ttft.max, seconds);
  EXPECT_EQ(c.ttft_cold.max, c.ttft.max);
  EXPECT_EQ(c.ttft_cached.max, 0);  // no request had a hit
  EXPECT_EQ(c.stats.prompt_tokens, 65);
  EXPECT_EQ(c.stats.generated_tokens, 11);
  EXPECT_EQ(c.speculative_tokens, 0);
  EXPECT_DOUBLE_EQ(c.speedup.mean, 1);
}

TEST_F(Throughput, CasesTakeTurns) {
  ThroughputOptions options = Once();
  options.speculative_tokens = {0, 3};
  options.warmup = 1;
  int64_t last_done = 0, last_total = 0, calls = 0;
  options.progress = [&](int64_t done, int64_t total) {
    last_done = done, last_total = total, ++calls;
  };
  const auto result = Measure(Requests({{20, 12}, {10, 12}}), options);
  ASSERT_TRUE(result) << ErrorOf(result);
  // Two requests, two cases, one warm-up and one timed run.
  EXPECT_EQ(last_done, 8);
  EXPECT_EQ(last_total, 8);
  EXPECT_EQ(calls, 8);
  ASSERT_EQ(result->cases.size(), 2u);
  EXPECT_EQ(result->cases[0].speculative_tokens, 0);
  EXPECT_EQ(result->cases[1].speculative_tokens, 3);
  EXPECT_EQ(result->cases[0].stats.draft_tokens, 0);
  EXPECT_NEAR(result->cases[1].speedup.mean,
              result->cases[0].seconds.p50 / result->cases[1].seconds.p50, 1e-12);
  EXPECT_DOUBLE_EQ(result->cases[0].speedup.mean, 1);
}

TEST_F(Throughput, WarmupsRunEveryCase) {
  // One request and one case, with three warm-ups and two timed runs: five calls.
  ThroughputOptions options = Once();
  options.warmup = 3;
  options.repeats = 2;
  std::vector<int64_t> done;
  options.progress = [&](int64_t n, int64_t total) {
    done.push_back(n);
    EXPECT_EQ(total, 5);
  };
  const auto result = Measure(Requests({{5, 2}}), options);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_EQ(done, (std::vector<int64_t>{1, 2, 3, 4, 5}));
}

TEST_F(Throughput, ConcurrencyIsBounded) {
  const std::vector<Request> requests = Requests({{10, 5}, {11, 5}, {12, 5}});
  ThroughputOptions options = Once();
  options.max_concurrency = 1;
  const auto result = Measure(requests, options);
  ASSERT_TRUE(result) << ErrorOf(result);
  // The requests run one after another: one step for each of 15 tokens.
  EXPECT_EQ(result->cases[0].stats.steps, 15);
  // The TTFT of a request counts from its own submission.
  EXPECT_LT(result->cases[0].ttft.min + result->cases[0].ttft.max, result->cases[0].seconds.p50);
  options.max_concurrency = 3;
  const auto together = Measure(requests, options);
  ASSERT_TRUE(together) << ErrorOf(together);
  EXPECT_LT(together->cases[0].stats.steps, 15);
}

TEST_F(Throughput, PrefixesThatAreFoundAreToldApart) {
  // The same prompt twice, one request after the other. The second request finds the pages of the
  // first.
  std::vector<Request> requests = Requests({{70, 2}});
  requests.push_back(requests[0]);
  ThroughputOptions options = Once();
  options.max_concurrency = 1;
  const auto result = Measure(requests, options);
  ASSERT_TRUE(result) << ErrorOf(result);
  const ThroughputCase& c = result->cases[0];
  EXPECT_GT(c.stats.prefix_hits, 0);
  EXPECT_EQ(c.ttft_cold.min, c.ttft_cold.max);
  EXPECT_EQ(c.ttft_cached.min, c.ttft_cached.max);
  EXPECT_GT(c.ttft_cached.min, 0);
  EXPECT_DOUBLE_EQ(c.ttft.mean, (c.ttft_cold.mean + c.ttft_cached.mean) / 2);
}

TEST_F(Throughput, RunsThatDifferAreAnError) {
  std::vector<Request> requests = Requests({{10, 12}});
  requests[0].params.temperature = 2;  // and no seed
  ThroughputOptions options = Once();
  options.repeats = 2;
  EXPECT_EQ(ErrorOf(Measure(requests, options)),
            "two runs of the same requests gave different tokens");
  requests[0].prompt[0] = 400;
  EXPECT_TRUE(Contains(ErrorOf(Measure(requests, Once())), "400"));
}

// Figures that were not measured are zero in the JSON.
TEST(BenchJson, NothingMeasuredIsZero) {
  LatencyResult latency;
  latency.cases.resize(1);
  ThroughputResult throughput;
  throughput.cases.resize(1);
  RooflineResult roofline;
  roofline.rows.resize(1);
  for (const Json& json : {ToJson(latency), ToJson(throughput), ToJson(roofline)}) {
    const Json flat = json.flatten();
    for (const auto& [key, value] : flat.items())
      EXPECT_TRUE(!value.is_number() || value == (key.ends_with("/batch_size") ? 1 : 0)) << key;
  }
}

TEST(BenchJson, EveryFigureOfAThroughputCaseHasAKeyOfItsOwn) {
  ThroughputResult result{.requests = 1, .prompt_tokens = 2, .output_tokens = 3, .cases = {}};
  ThroughputCase& c = result.cases.emplace_back();
  double next = 10;
  Distribution* const distributions[] = {
      &c.seconds, &c.requests_per_second, &c.tokens_per_second, &c.output_tokens_per_second,
      &c.ttft,    &c.ttft_cold,           &c.ttft_cached,       &c.bandwidth,
      &c.peak,    &c.limit_share};
  for (Distribution* d : distributions)
    *d = {next, next + 1, next + 2, next + 3, next + 4, next + 5, next + 6}, next += 7;
  c.speculative_tokens = 4;
  c.stats.steps = 5;
  c.stats.prefix_hits = 6;
  c.stats.preemptions = 7;
  c.stats.draft_tokens = 8;
  c.stats.accepted_tokens = 9;
  c.speedup = {1.5, 1.25, 1.75};
  const Json json = ToJson(result);
  EXPECT_EQ(json["num_requests"], 1);
  EXPECT_EQ(json["prompt_tokens"], 2);
  EXPECT_EQ(json["output_tokens"], 3);
  const Json& first = json["cases"][0];
  next = 10;
  for (const char* key : {"elapsed_s", "requests_per_second", "tokens_per_second",
                          "output_tokens_per_second", "ttft_s", "ttft_cold_s", "ttft_cached_s",
                          "probed_bandwidth_bytes_s", "probed_peak_flop_s", "limit_share"})
    for (const char* figure : {"mean", "min", "p10", "p50", "p90", "p99", "max"})
      EXPECT_EQ(first[key][figure], next++) << key << " " << figure;
  EXPECT_EQ(first["speculative_tokens"], 4);
  EXPECT_EQ(first["steps"], 5);
  EXPECT_EQ(first["cached_tokens"], 6);
  EXPECT_EQ(first["preemptions"], 7);
  EXPECT_EQ(first["drafted_tokens"], 8);
  EXPECT_EQ(first["accepted_tokens"], 9);
  EXPECT_EQ(first["speedup"], (Json{{"mean", 1.5}, {"low", 1.25}, {"high", 1.75}}));
}

}  // namespace
}  // namespace merope

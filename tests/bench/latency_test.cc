#include "bench/latency.h"

#include <gtest/gtest.h>

#include "bench/bandwidth.h"
#include "bench/bench_json.h"

namespace merope {
namespace {

TEST(Summarize, InterpolatesBetweenNeighbours) {
  const Distribution d = Summarize({3, 1, 2, 5, 4});
  EXPECT_DOUBLE_EQ(d.min, 1);
  EXPECT_DOUBLE_EQ(d.p10, 1.4);
  EXPECT_DOUBLE_EQ(d.p50, 3);
  EXPECT_DOUBLE_EQ(d.p90, 4.6);
  EXPECT_DOUBLE_EQ(d.p99, 4.96);
  EXPECT_DOUBLE_EQ(d.max, 5);
  EXPECT_DOUBLE_EQ(d.mean, 3);
}

TEST(Summarize, OneValueIsEveryPercentile) {
  const Distribution d = Summarize({7});
  EXPECT_EQ(d.p10, 7);
  EXPECT_EQ(d.p99, 7);
}

TEST(LatencyOptions, RefusedByName) {
  const auto message = [](const auto& change) {
    LatencyOptions options;
    change(options);
    const Status status = Validate(options, 256);
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(message([](LatencyOptions&) {}), "");
  EXPECT_NE(message([](LatencyOptions& o) { o.input_lengths = {0}; }).find("input-len"),
            std::string::npos);
  EXPECT_NE(message([](LatencyOptions& o) { o.output_lengths.clear(); }).find("output-len"),
            std::string::npos);
  EXPECT_NE(message([](LatencyOptions& o) { o.input_lengths = {200}; }).find("at most 256"),
            std::string::npos);
  EXPECT_NE(message([](LatencyOptions& o) { o.output_lengths = {INT64_MAX}; }).find("at most 256"),
            std::string::npos);
  EXPECT_NE(message([](LatencyOptions& o) { o.batch_size = 0; }).find("batch-size"),
            std::string::npos);
  EXPECT_NE(message([](LatencyOptions& o) { o.repeats = 0; }).find("repeats"), std::string::npos);
  EXPECT_NE(message([](LatencyOptions& o) { o.warmup = -1; }).find("warmup"), std::string::npos);
}

TEST(LatencyOptions, CacheHoldsWholePagesForEverySequence) {
  LatencyOptions options;
  options.input_lengths = {10, 60};
  options.output_lengths = {5};
  options.batch_size = 3;
  EXPECT_EQ(KvTokens(options), 3 * 2 * kPageTokens);
}

TEST(BandwidthProbe, ReadsAtAPlausibleRate) {
  BandwidthProbe probe(2);
  EXPECT_GE(probe.buffer_bytes(), int64_t{256} << 20);
  const double rate = probe.Measure(0.02);
  EXPECT_GT(rate, 1e8);
  // Past any memory there is: the reads would have been optimized away.
  EXPECT_LT(rate, 5e12);
}

TEST(LatencyJson, HasTheFiguresOfEveryCase) {
  LatencyResult result;
  result.cases.resize(2);
  result.cases[1].output_length = 50;
  const Json json = ToJson(result);
  for (const char* key : {"backend", "dtype", "threads", "batch_size", "warmup", "repeats", "seed",
                          "weight_bytes", "step_weight_bytes", "peak_rss_bytes"})
    EXPECT_TRUE(json.contains(key)) << key;
  ASSERT_EQ(json["cases"].size(), 2u);
  EXPECT_EQ(json["cases"][1]["output_len"], 50);
  for (const char* key :
       {"input_len", "latency_s", "throughput_tok_s", "ttft_s", "tpot_s", "report_tpot_s",
        "inter_token_s", "prefill_tok_s", "probed_bandwidth_bytes_s", "bandwidth_share"})
    EXPECT_TRUE(json["cases"][0].contains(key)) << key;
}

}  // namespace
}  // namespace merope

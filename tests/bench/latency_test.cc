#include "bench/latency.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/machine.h"
#include "bench/bench_json.h"
#include "checkpoint/synth.h"
#include "engine/load.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

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

TEST(MeanOfRatios, StudentsTAndTheInterval) {
  // From tables of Student's t distribution.
  EXPECT_NEAR(StudentT975(1), 12.70620, 2e-5);
  EXPECT_NEAR(StudentT975(4), 2.776445, 2e-5);
  EXPECT_NEAR(StudentT975(30), 2.042272, 2e-5);
  const MeanRatio ratio = MeanOfRatios({1.0, 4.0});
  EXPECT_DOUBLE_EQ(ratio.mean, 2);
  // The logarithms lie log 2 on either side of their mean, so the standard error is log 2.
  EXPECT_NEAR(ratio.high, 2 * std::pow(2, 12.7062), 1);
  // The logarithms are 0, ln 2 and ln 4. Their standard deviation is ln 2, and the standard error
  // of their mean is ln 2 / √3.
  const MeanRatio three = MeanOfRatios({1, 2, 4});
  EXPECT_DOUBLE_EQ(three.mean, 2);
  EXPECT_NEAR(three.high, 2 * std::pow(2, 4.302653 / std::sqrt(3)), 1e-3);
  EXPECT_NEAR(three.low * three.high, 4, 1e-9);
  EXPECT_NEAR(ratio.low * ratio.high, 4, 1e-9);
  EXPECT_TRUE(std::isnan(MeanOfRatios({3.0}).low));
  EXPECT_EQ(ToText({1.25, 1.0, 1.5}), "1.250 (1.000-1.500)");
  EXPECT_EQ(ToText(MeanOfRatios({3.0})), "3.000");
}

TEST(LatencyOptions, RefusedByName) {
  const auto message = [](const auto& change) {
    LatencyOptions options;
    change(options);
    const Status status = Validate(options, 256);
    return status ? "" : status.error().message;
  };
  const auto expect = [&](const char* part, const auto& change) {
    EXPECT_NE(message(change).find(part), std::string::npos) << message(change);
  };
  EXPECT_EQ(message([](LatencyOptions&) {}), "");
  expect("input-len", [](LatencyOptions& o) { o.input_lengths = {0}; });
  expect("output-len", [](LatencyOptions& o) { o.output_lengths.clear(); });
  expect("at most 256", [](LatencyOptions& o) { o.input_lengths = {200}; });
  expect("at most 256", [](LatencyOptions& o) { o.contexts = {0, 29}; });
  expect("output-len", [](LatencyOptions& o) { o.output_lengths = {INT64_MAX}; });
  expect("context", [](LatencyOptions& o) { o.contexts = {-1}; });
  expect("batch-size", [](LatencyOptions& o) { o.batch_sizes = {1, 0}; });
  expect("repeats", [](LatencyOptions& o) { o.repeats = 0; });
  expect("threads", [](LatencyOptions& o) { o.threads = -1; });
  expect("threads", [](LatencyOptions& o) { o.threads = 99'999'999; });
  expect("warmup", [](LatencyOptions& o) { o.warmup = -1; });
}

TEST(LatencyOptions, CacheHoldsWholePagesForEverySequence) {
  LatencyOptions options;
  options.input_lengths = {10, 60};
  options.output_lengths = {5};
  options.batch_sizes = {3, 1};
  EXPECT_EQ(KvTokens(options), 3 * 2 * kPageTokens);
  options.contexts = {0, 64};
  EXPECT_EQ(KvTokens(options), 3 * 3 * kPageTokens);
}

ModelConfig TinyConfig() {
  ModelConfig config = LlamaConfig({.hidden = 8,
                                    .intermediate = 16,
                                    .heads = 2,
                                    .kv_heads = 1,
                                    .head_dim = 6,
                                    .vocabulary = 10,
                                    .context = 200});
  config.eos_token_ids = {2};
  return config;
}

TEST(PrefillFlops, AsCountedByHand) {
  // Multiply-adds of one token in one layer: 8·12 each for q and o, 8·6 each for k and v, 8·16 each
  // for gate, up and down. The head: 10·8.
  const int64_t token = 2 * (96 + 96 + 48 + 48 + 128 + 128 + 128), head = 2 * 80;
  // Three tokens attend to 1, 2 and 3 positions. Each position takes, for each of two heads, 6
  // multiply-adds with k and 6 with v.
  EXPECT_EQ(PrefillFlops(TinyConfig(), 0, 3), 2 * (3 * token + 2 * (1 + 2 + 3) * 2 * 12) + head);
  EXPECT_EQ(PrefillFlops(TinyConfig(), 0, 3), 8800);
  // One token after five others attends to six positions.
  EXPECT_EQ(PrefillFlops(TinyConfig(), 5, 1), 2 * (token + 2 * 6 * 2 * 12) + head);
}

TEST(PrefillFlops, OfPleiasRag350m) {
  const auto config = KnownConfig("pleias-rag-350m");
  ASSERT_TRUE(config);
  // The second token takes two operations for each of the 286,261,248 parameters that are not
  // embeddings or norms. It attends to two positions: 26 · 4 · 1024 · 2 operations.
  EXPECT_EQ(PrefillFlops(*config, 0, 2) - PrefillFlops(*config, 0, 1), 572'522'496 + 212'992);
}

TEST(MeasureLatency, GivesEveryPointOfTheGrid) {
  const TempDir dir;
  const Status made = Synthesize(dir.path(), TinyConfig(), {.std_dev = 0.2, .force = true});
  ASSERT_TRUE(made) << made.error().message;
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  LatencyOptions options;
  options.batch_sizes = {1, 3};
  options.contexts = {0, 70};
  options.input_lengths = {5};
  options.output_lengths = {1, 4};
  options.warmup = 1;
  options.repeats = 1;
  int64_t last_done = 0, last_total = 0;
  options.progress = [&](int64_t done, int64_t total) { last_done = done, last_total = total; };
  // The KV cache is only as large as the options need.
  RuntimeOptions runtime_options;
  runtime_options.llama.kv_tokens = KvTokens(options);
  const auto runtime = LoadRuntime(*checkpoint, runtime_options);
  ASSERT_TRUE(runtime) << runtime.error().message;
  const Result<LatencyResult> result = MeasureLatency(*runtime->model, options);
  ASSERT_TRUE(result) << result.error().message;

  EXPECT_EQ(result->precision, "bf16");
  EXPECT_EQ(result->cases[0].mode, "compiled");
  EXPECT_FALSE(result->cases[0].speedup);
  EXPECT_EQ(last_done, 8 * 2);
  EXPECT_EQ(last_total, 8 * 2);
  ASSERT_EQ(result->cases.size(), 8u);
  size_t i = 0;
  for (const int64_t batch : {1, 3})
    for (const int64_t context : {0, 70})
      for (const int64_t output : {1, 4}) {
        const int64_t input = 5;
        SCOPED_TRACE(i);
        const LatencyCase& c = result->cases[i++];
        EXPECT_EQ(c.batch_size, batch);
        EXPECT_EQ(c.context, context);
        EXPECT_EQ(c.input_length, input);
        EXPECT_EQ(c.output_length, output);
        EXPECT_EQ(c.prefill_flops, batch * PrefillFlops(TinyConfig(), context, input));
        // K and V of two layers, one head of 6 dimensions, two bytes per value.
        EXPECT_EQ(c.decode_bytes, result->step_weight_bytes +
                                      batch * 2 * 2 * 6 * 2 * (context + input + output / 2));
        EXPECT_GT(c.ttft.min, 0);
        EXPECT_GT(c.peak.min, 0);
        EXPECT_GT(c.bandwidth.min, 0);
        EXPECT_GT(c.peak_share.min, 0);
        EXPECT_EQ(c.bandwidth_share.min > 0, output > 1);
      }
  // The sequences have returned all their pages.
  EXPECT_EQ(runtime->model->kv().free_pages() * kPageTokens, KvTokens(options));
}

TEST(MeasureLatency, EagerAndCompiledRunsTakeTurns) {
  const TempDir dir;
  const Status made = Synthesize(dir.path(), TinyConfig(), {.std_dev = 0.2, .force = true});
  ASSERT_TRUE(made) << made.error().message;
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  LatencyOptions options;
  options.input_lengths = {5, 9};
  options.output_lengths = {4};
  options.warmup = 0;
  options.repeats = 3;
  options.eager_too = true;
  const auto runtime = LoadRuntime(*checkpoint, {});
  ASSERT_TRUE(runtime) << runtime.error().message;
  const Result<LatencyResult> result = MeasureLatency(*runtime->model, options);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->cases.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const LatencyCase& c = result->cases[i];
    EXPECT_EQ(c.input_length, i < 2 ? 5 : 9);
    EXPECT_EQ(c.mode, i % 2 == 0 ? "eager" : "compiled");
    ASSERT_EQ(c.speedup.has_value(), i % 2 == 1);
    if (c.speedup) {
      EXPECT_GT(c.speedup->low, 0);
      EXPECT_LT(c.speedup->low, c.speedup->mean);
      EXPECT_LT(c.speedup->mean, c.speedup->high);
    }
  }
}

// With one run, the figures of a case follow from its TTFT, its latency and the two probes around
// the run.
TEST(MeasureLatency, FiguresFollowFromTheTimesAndTheProbes) {
  const TempDir dir;
  const Status made = Synthesize(dir.path(), TinyConfig(), {.std_dev = 0.2, .force = true});
  ASSERT_TRUE(made) << made.error().message;
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  LatencyOptions options;
  options.batch_sizes = {2};
  options.contexts = {64};
  options.input_lengths = {30};
  options.output_lengths = {5};
  options.warmup = 0;
  options.repeats = 1;
  options.threads = 1;
  options.seed = 9;
  options.eager_too = true;
  RuntimeOptions runtime_options;
  runtime_options.llama.kv_tokens = KvTokens(options);
  const auto runtime = LoadRuntime(*checkpoint, runtime_options);
  ASSERT_TRUE(runtime) << runtime.error().message;
  const Result<LatencyResult> result = MeasureLatency(*runtime->model, options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->threads, 1);
  EXPECT_EQ(result->warmup, 0);
  EXPECT_EQ(result->repeats, 1);
  EXPECT_EQ(result->seed, 9u);
  EXPECT_EQ(result->weight_bytes, runtime->model->weight_bytes());
  EXPECT_EQ(result->step_weight_bytes, runtime->model->step_weight_bytes());
  EXPECT_GT(result->peak_resident_bytes, 0);
  EXPECT_LE(result->peak_resident_bytes, PeakResidentBytes());
  ASSERT_EQ(result->cases.size(), 2u);
  for (const LatencyCase& c : result->cases) {
    SCOPED_TRACE(c.mode);
    const double latency = c.latency.p50, ttft = c.ttft.p50;
    EXPECT_GT(ttft, 0);
    EXPECT_GT(latency, ttft);
    EXPECT_DOUBLE_EQ(c.throughput.p50, 2 * 5 / latency);
    EXPECT_DOUBLE_EQ(c.tpot.p50, (latency - ttft) / 4);
    EXPECT_DOUBLE_EQ(c.report_tpot.p50, latency / 5);
    EXPECT_DOUBLE_EQ(c.prefill_speed.p50, 2 * 30 / ttft);
    // Four decode steps lie between the first token and the last.
    EXPECT_NEAR(c.inter_token.mean / c.tpot.p50, 1, 1e-9);
    EXPECT_GT(c.inter_token.min, 0);
  }
  // There are three probes: before the first run, between the two runs, and after the second run.
  // Each run is compared with the mean of the two probes around it. The minimum, the median and the
  // maximum of a distribution are these three probes, so that mean must be the mean of two of them.
  const auto among = [](const Distribution& d, double mean_of_two) {
    const double values[] = {d.min, d.p50, d.max};
    for (int a = 0; a < 3; ++a)
      for (int b = 0; b < a; ++b)
        if (std::abs((values[a] + values[b]) / 2 / mean_of_two - 1) < 1e-9) return true;
    return false;
  };
  for (const LatencyCase& c : result->cases) {
    EXPECT_TRUE(among(c.peak, static_cast<double>(c.prefill_flops) / c.ttft.p50 / c.peak_share.p50))
        << c.mode;
    EXPECT_TRUE(among(c.bandwidth,
                      static_cast<double>(c.decode_bytes) / c.tpot.p50 / c.bandwidth_share.p50))
        << c.mode;
  }
  ASSERT_TRUE(result->cases[1].speedup);
  EXPECT_NEAR(result->cases[1].speedup->mean,
              result->cases[0].latency.p50 / result->cases[1].latency.p50, 1e-12);
  EXPECT_NE(runtime->model->plan(), nullptr);
}

// A context of one token is in the KV cache, like any other context.
TEST(MeasureLatency, OneTokenBeforeThePromptOnAllCores) {
  const TempDir dir;
  const Status made = Synthesize(dir.path(), TinyConfig(), {.std_dev = 0.2, .force = true});
  ASSERT_TRUE(made) << made.error().message;
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  LatencyOptions options;
  options.contexts = {1};
  options.input_lengths = {2};
  options.output_lengths = {1};
  options.warmup = 0;
  options.repeats = 1;
  const auto runtime = LoadRuntime(*checkpoint, {});
  ASSERT_TRUE(runtime) << runtime.error().message;
  const Result<LatencyResult> result = MeasureLatency(*runtime->model, options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->threads, DefaultThreads());
}

TEST(LatencyOptions, DefaultsAreTheReferenceReports) {
  const LatencyOptions o;
  EXPECT_EQ(o.input_lengths, (std::vector<int64_t>{16, 32, 64, 128}));
  EXPECT_EQ(o.output_lengths, (std::vector<int64_t>{50, 100}));
  EXPECT_EQ(o.batch_sizes, std::vector<int64_t>{1});
  EXPECT_EQ(o.contexts, std::vector<int64_t>{0});
  EXPECT_EQ(o.warmup, 3);
  EXPECT_EQ(o.repeats, 5);
  EXPECT_EQ(o.seed, 0u);
  EXPECT_EQ(o.threads, 0);
}

TEST(LatencyOptions, TheEndsOfEachRange) {
  const auto valid = [](const auto& change, int64_t context = 1 << 27) {
    LatencyOptions options;
    change(options);
    return Validate(options, context).has_value();
  };
  EXPECT_TRUE(valid([](auto& o) { o.threads = 1024; }));
  EXPECT_FALSE(valid([](auto& o) { o.threads = 1025; }));
  EXPECT_TRUE(valid([](auto& o) { o.batch_sizes = {1, 128}; }));
  EXPECT_FALSE(valid([](auto& o) { o.batch_sizes = {129}; }));
  EXPECT_TRUE(valid([](auto& o) { o.input_lengths = {1, 1 << 26}; }));
  EXPECT_FALSE(valid([](auto& o) { o.input_lengths = {(1 << 26) + 1}; }));
  EXPECT_FALSE(valid([](auto& o) { o.output_lengths = {0}; }));
  EXPECT_TRUE(valid([](auto& o) { o.output_lengths = {1}; }));
  EXPECT_TRUE(valid([](auto& o) { o.warmup = 0; }));
  EXPECT_TRUE(valid([](auto& o) { o.repeats = 1; }));
  // The defaults need 0 + 128 + 100 positions.
  EXPECT_TRUE(valid([](auto&) {}, 228));
  EXPECT_FALSE(valid([](auto&) {}, 227));
}

TEST(LatencyJson, HasTheFiguresOfEveryCase) {
  LatencyResult result;
  result.cases.resize(2);
  result.cases[1].output_length = 50;
  const Json json = ToJson(result);
  for (const char* key : {"backend", "dtype", "threads", "warmup", "repeats", "seed",
                          "weight_bytes", "step_weight_bytes", "peak_rss_bytes"})
    EXPECT_TRUE(json.contains(key)) << key;
  ASSERT_EQ(json["cases"].size(), 2u);
  EXPECT_EQ(json["cases"][1]["output_len"], 50);
  for (const char* key :
       {"batch_size", "context", "probed_peak_flop_s", "prefill_flop", "peak_share", "input_len",
        "latency_s", "throughput_tok_s", "ttft_s", "tpot_s", "report_tpot_s", "inter_token_s",
        "prefill_tok_s", "probed_bandwidth_bytes_s", "bandwidth_share"})
    EXPECT_TRUE(json["cases"][0].contains(key)) << key;
}

}  // namespace
}  // namespace merope

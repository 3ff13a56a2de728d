// The text of the sections for figures set by hand: sentences, verdicts and plots, and the parts
// that the sections leave out when there is no data.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <tuple>

#include "report/report_json.h"
#include "report/sections.h"
#include "tests/report/golden.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

std::string Text(const ReportData& data) {
  return ToMarkdown(BuildReport(data, Language::kEnglish),
                    [](const Plot& plot) { return plot.id; });
}

// nullptr if the report has no plot with this id.
const Plot* FindPlot(const Document& document, std::string_view id) {
  for (const Block& block : document.blocks)
    if (const auto* figure = std::get_if<Figure>(&block);
        figure != nullptr && figure->plot.id == id)
      return &figure->plot;
  return nullptr;
}
bool Has(const ReportData& data, std::string_view id) {
  return FindPlot(BuildReport(data, Language::kEnglish), id) != nullptr;
}

TEST(Sentences, ParametersAndTheirShares) {
  ReportData data = GoldenReport();
  data.parameters = {{"embedding", 250}, {"attention", 500}, {"mlp", 200}, {"norms", 50}};
  const std::string text = Text(data);
  for (const char* row : {"| Token embedding | 250 | 25.0 % |", "| Attention | 500 | 50.0 % |",
                          "| RMSNorm | 50 | 5.0 % |", "| **Total** | 1,000 | 100 % |"})
    EXPECT_TRUE(Contains(text, row));
  const Document document = BuildReport(data, Language::kEnglish);
  const Plot* plot = FindPlot(document, "parameters");
  ASSERT_NE(plot, nullptr);
  const double shares[] = {25, 50, 20, 5};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(plot->series[0].points[i].x, static_cast<double>(i));
    EXPECT_DOUBLE_EQ(plot->series[0].points[i].y, shares[i]);
  }
  EXPECT_DOUBLE_EQ(plot->y.max, 54);
}

TEST(Sentences, EachArchitectureByItsName) {
  ReportData data = GoldenReport();
  data.config.attention_bias = true;
  for (const auto& [architecture, conclusion, biases] :
       {std::tuple{Architecture::kLlama, "the standard Llama architecture", "attention yes, MLP"},
        {Architecture::kQwen2, "the standard Qwen2 architecture", "attention q, k, v, MLP"},
        {Architecture::kQwen3, "the standard Qwen3 architecture", "attention yes, MLP"}}) {
    data.config.architecture = architecture;
    const std::string text = Text(data);
    EXPECT_TRUE(Contains(text, conclusion));
    EXPECT_TRUE(Contains(text, biases)) << conclusion;
    EXPECT_EQ(bool{Contains(text, "**Head norms**")}, architecture == Architecture::kQwen3);
  }
}

TEST(Sentences, TheConfigurationAndItsCache) {
  ReportData data = GoldenReport();
  data.machine.memory_available = 1 << 30;
  data.load.weight_bytes = 1 << 20;
  const std::string text = Text(data);
  // 2 · 12 layers · 2 heads · 125 · 2 bytes. With a K/V head for each of the 8 query heads, the
  // size is four times as large.
  for (const char* part :
       {"| 12,000 B |", "| 48,000 B |", "| 75.0 % |", "2,051 × 12,000 = 23.5 MiB", "| 1023.0 MiB |",
        "| 89,391 |", "Concurrent requests of 2,051 tokens | 43 |",
        "8 query heads share 2 key/value heads of 125 dimensions, 4 to one. The KV cache is 75 % ",
        "of 5,003,000 parameters", "of 3,000 features, 3.00 times the width",
        "{\n  \"architectures\": [\n    \"LlamaForCausalLM\"\n  ],\n  \"hidden_size\": 1000,"})
    EXPECT_TRUE(Contains(text, part));
  data.config.max_position_embeddings = 10'000;
  data.load.weight_bytes = int64_t{1} << 40;
  data.config.num_kv_heads = 8;
  const std::string other = Text(data);
  EXPECT_TRUE(Contains(other, "Concurrent requests of 4,096 tokens | 0 |"));
  EXPECT_TRUE(Contains(other, "8 heads of 125 dimensions, each with keys and values of its own"));
}

TEST(Sentences, WhatStandsBeforeAPrompt) {
  ReportData data = GoldenReport();
  data.prefix = {{"<s>", 1}, {"<q>", 70}};
  data.prefix_rule = "a file";
  EXPECT_TRUE(Contains(Text(data), "| Start of a prompt | `<s>` (id 1), `<q>` (id 70); a file |"));
  EXPECT_EQ(ToJson(data)["prefix"].dump(),
            R"({"rule":"a file","tokens":[{"token":"<s>","id":1},{"token":"<q>","id":70}]})");
  data.prefix.clear();
  EXPECT_TRUE(Contains(Text(data), "| Start of a prompt | nothing (no BOS); a file |"));
}

TEST(Sentences, LogitsThatAreNoNumbers) {
  ReportData data = GoldenReport();
  EXPECT_FALSE(Contains(Text(data), "their logits are no numbers"));
  EXPECT_FALSE(ToJson(data)["generation"][0].contains("error"));
  data.generation.resize(2);
  data.generation[0].first_difference = data.generation[1].first_difference = -1;
  data.generation[1].error = "found NaN";
  data.errors.positions = 5;
  data.errors.not_finite = 1200;
  const std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "1 of 2 texts are the same"));
  EXPECT_TRUE(Contains(text, "> ❌ found NaN\n"));
  EXPECT_TRUE(Contains(text, "1,200 of 1,205 positions are left out below: their logits are no"));
  EXPECT_EQ(ToJson(data)["generation"][1]["error"], "found NaN");
  EXPECT_EQ(ToJson(data)["errors"]["not_finite"], 1200);
}

TEST(Sentences, WeightChecksFailOneByOne) {
  ReportData data = GoldenReport();
  WeightReport& w = data.weights;
  w = {};
  w.expected_parameters = w.parameters = 7;
  const auto row = [&](std::string_view line) { return Contains(Text(data), line); };
  EXPECT_TRUE(row("| Tensors | 0 | 0 | ✅ PASS |"));
  EXPECT_TRUE(row("| Parameters | 7 | 7 | ✅ PASS |"));
  EXPECT_TRUE(row("| NaN and infinite weights | 0 | 0 | ✅ PASS |"));
  w.missing = {"m"};
  EXPECT_TRUE(row("| Tensors | 0 | 0 | ❌ FAIL |"));
  w.missing.clear();
  w.extra = {"e"};
  EXPECT_TRUE(row("| Tensors | 0 | 0 | ❌ FAIL |"));
  w.nan_count = w.inf_count = 2;
  w.parameters = 8;
  EXPECT_TRUE(row("| NaN and infinite weights | 0 | 4 | ❌ FAIL |"));
  EXPECT_TRUE(row("| Parameters | 7 | 8 | ❌ FAIL |"));
}

TEST(Sentences, FilesAndMemoryOfLoading) {
  ReportData data = GoldenReport();
  const auto says = [&](std::string_view part) { return Contains(Text(data), part); };
  EXPECT_TRUE(says("download OWNER/NAME --local-dir ."));
  data.format = CheckpointFormat::kGguf;
  EXPECT_TRUE(says("download OWNER/NAME weights --local-dir ."));
  data.weights.files.clear();
  EXPECT_TRUE(says("download OWNER/NAME --local-dir ."));
  data.load.peak = 10 << 20;
  data.load.resident_before = 4 << 20;
  data.load.weight_bytes = 1 << 20;
  EXPECT_TRUE(says("the peak lies 5.0 MiB above"));
  data.load.peak = 0;
  EXPECT_TRUE(says("the peak lies 0 B above"));
}

TEST(Sentences, GeneratedTextsThatPart) {
  ReportData data = GoldenReport();
  data.generation.resize(2);
  data.generation[0].first_difference = -1;
  data.generation[0].target_tokens = 9;
  GenerationPair& pair = data.generation[1];
  pair.first_difference = 0;
  pair.margin = 3;
  pair.sigma = 0.25;
  data.verify.reference.emulated_sigma = 0.5;
  data.errors.sigma = 0.125;
  std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "1 of 2 texts are the same"));
  EXPECT_TRUE(Contains(text, "All 9 tokens are the same."));
  EXPECT_TRUE(Contains(text, "The first 0 tokens are the same."));
  EXPECT_TRUE(Contains(text, "by 3.00 of a logit, 12 × the error's σ at that place (0.250)"));
  EXPECT_TRUE(Contains(text, "It lies within the 3.00 that bf16 noise allows"));
  pair.margin = 3.01;
  EXPECT_TRUE(Contains(Text(data), "That is more than the 3.00 that"));
  // A target that is not bf16 is compared with its own noise.
  data.options.target = Precision::kInt8;
  pair.sigma = 0;
  pair.margin = 0.75;
  text = Text(data);
  EXPECT_TRUE(Contains(text, "It lies within the 0.750 that"));
  EXPECT_TRUE(Contains(text, "by 0.750 of a logit, 0 × the error's σ"));
}

TEST(Sentences, SourcesOfError) {
  ReportData data = GoldenReport();
  data.errors.mean_relative_l2 = 0.0123456;
  data.errors.max_relative_l2 = 0.0654321;
  data.weight_rounding = 0;
  data.verify.reference.target_sigma = 3;
  data.verify.reference.emulated_sigma = 2;
  const char* ratio = "Target's σ over that of emulated bf16";
  std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "at most 0.39 % of itself; fp32 keeps 24, 6.0×10⁻⁸."));
  EXPECT_TRUE(Contains(text, "(RMS, relative) | 0 | the checkpoint's weights are bf16 values"));
  EXPECT_TRUE(Contains(text, "| 1.235 % | rounding the inputs"));
  EXPECT_TRUE(Contains(text, "1.235 % in the mean, 6.543 % at the worst position"));
  EXPECT_TRUE(Contains(text, std::string(ratio) + " | 1.50 |"));
  data.weight_rounding = 0.00123456;
  data.verify.reference.emulated_sigma = 0;
  text = Text(data);
  EXPECT_TRUE(Contains(text, "(RMS, relative) | 0.123 % | the stored weights are finer"));
  EXPECT_FALSE(Contains(text, ratio));
  data.verify.reference.emulated_sigma = 2;
  data.options.target = Precision::kInt8;
  text = Text(data);
  EXPECT_FALSE(Contains(text, ratio));
  EXPECT_TRUE(Contains(text, "| 1.235 % | the fast path"));
}

TEST(Sentences, TheHistogramStandsBesideTheNormalDensity) {
  ReportData data = GoldenReport();
  data.errors.histogram.assign(40, 0.125);
  data.errors.beyond_4_sigma = 0.0123456;
  Document document = BuildReport(data, Language::kEnglish);
  const Plot* plot = FindPlot(document, "error-histogram");
  ASSERT_NE(plot, nullptr);
  EXPECT_TRUE(Contains(plot->description, "; 1.235 % of the errors"));
  EXPECT_DOUBLE_EQ(plot->bar_width, 0.2);
  EXPECT_EQ(plot->y.max, 0.45);
  ASSERT_EQ(plot->series[0].points.size(), 40u);
  double mass = 0;
  for (size_t i = 0; i < 40; ++i) {
    const double x = -3.9 + 0.2 * static_cast<double>(i);
    const PlotPoint &measured = plot->series[0].points[i], &normal = plot->series[1].points[i];
    EXPECT_NEAR(measured.x, x, 1e-9);
    EXPECT_EQ(measured.y, 0.125);
    EXPECT_NEAR(normal.x, x, 1e-9);
    EXPECT_NEAR(normal.y, std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi), 1e-9);
    mass += normal.y * 0.2;
  }
  EXPECT_NEAR(mass, 1, 1e-3);
  EXPECT_NE(plot->series[0].color, plot->series[1].color);
  data.errors.histogram[20] = 2;  // the axis ends a twentieth above
  document = BuildReport(data, Language::kEnglish);
  EXPECT_DOUBLE_EQ(FindPlot(document, "error-histogram")->y.max, 2.1);
}

TEST(Sentences, WithoutErrorsNothingIsDrawnOfThem) {
  ReportData data = GoldenReport();
  for (const char* id : {"error-histogram", "margins", "relative-error"})
    EXPECT_TRUE(Has(data, id));
  data.errors.sigma = 0;
  for (const char* id : {"error-histogram", "margins", "relative-error"})
    EXPECT_FALSE(Has(data, id)) << id;
  EXPECT_TRUE(Contains(Text(data), "This run's is 0: the gate would pass an error 0 times"));
}

TEST(Sentences, MarginsAndTheWidestFlips) {
  ReportData data = GoldenReport();
  data.errors.points = {{0.5, -0.25, false}, {0.125, -0.375, true}};
  std::vector<Flip>& flips = data.verify.positions.flips;
  flips.clear();
  for (int i = 1; i <= 14; ++i)
    flips.push_back({"prompt", 1000 + i, "x", "y", i + 0.5, 2, i % 7 != 0});
  data.verify.positions.positions = 4321;
  data.verify.positions.expected_flips = 12.34;
  const std::string text = Text(data);
  EXPECT_TRUE(Contains(text,
                       "14 of 4,321 positions flip, where noise of bf16's size should flip "
                       "12.3; 2 of them have a margin"));
  // The table shows the twelve widest of 14 flips, the widest first.
  const size_t table = text.find("The flips with the widest margins");
  size_t last = table;
  for (int i = 14; i >= 3; --i) {
    const size_t at = text.find(fmt::format("| prompt | 1,{:03} |", i), table);
    EXPECT_TRUE(at != text.npos && at > last) << i;
    last = at;
  }
  EXPECT_FALSE(Contains(text, "| 1,002 |"));
  EXPECT_TRUE(Contains(text, "| 14.5 | 2.00 | ❌ no |"));
  EXPECT_TRUE(Contains(text, "| 13.5 | 2.00 | ✅ yes |"));

  const Document document = BuildReport(data, Language::kEnglish);
  const Plot* plot = FindPlot(document, "margins");
  ASSERT_EQ(plot->series.size(), 3u);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(plot->series[i].points.size(), 1u);
    EXPECT_EQ(plot->series[i].points[0].x, data.errors.points[i].margin);
    EXPECT_EQ(plot->series[i].points[0].y, std::abs(data.errors.points[i].change));
  }
  for (const PlotPoint& point : plot->series[2].points) EXPECT_EQ(point.x, point.y);  // a diagonal
  EXPECT_EQ(plot->series[2].points[1].y, plot->y.max);
  EXPECT_EQ(plot->series[1].color, 2);  // the color of limits
  EXPECT_NE(plot->series[0].color, plot->series[2].color);
  flips.clear();
  EXPECT_FALSE(Contains(Text(data), "The flips with the widest margins"));
}

TEST(Sentences, RelativeErrorsByProbability) {
  ReportData data = GoldenReport();
  data.errors.bins = {
      {1, 10, 0.51234567, 0.02, 0.02}, {0.1, 20, 0.25, 0.5, 0.03}, {0.01, 1, 0, 0, 0}};
  const std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "| 0.1 – 1 | 10 | 51.235 % | 2.00 % | 0.0200 |"));
  EXPECT_TRUE(Contains(text, "| 0.01 – 0.1 | 20 | 25.000 % | 50.00 % | 0.0300 |"));
  EXPECT_TRUE(Contains(text, "| ≤ 0.01 | 1 | 0.000 % | 0.00 % | 0 |"));
  const Document document = BuildReport(data, Language::kEnglish);
  const Plot* plot = FindPlot(document, "relative-error");
  EXPECT_DOUBLE_EQ(plot->y.max, 0.55);
  EXPECT_EQ(plot->y.factor, 100);
  EXPECT_EQ(plot->x.categories.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(plot->series[0].points[i].x, static_cast<double>(i));
    EXPECT_EQ(plot->series[0].points[i].y, data.errors.bins[i].mean_relative_error);
  }
}

TEST(Sentences, WhatACosineAllows) {
  ReportData data = GoldenReport();
  FirstTokenTable& t = data.verify.first_token;
  t.cosine = 0.8;
  t.one_minus_cosine = 0.2;
  t.mean_relative_error = 0.125;
  for (size_t i = 0; i < 3; ++i) t.rows[i].cosine = i == 1 ? 0.6 : 0.9;
  const std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "error is 12.50 % when the cosine is 0.800000\n"));
  EXPECT_TRUE(Contains(text, "of suite (a), 0.800000, gives 1 − cos = 20.0000 %"));
  EXPECT_TRUE(Contains(text, "at least **60.00 %**; for the worst prompt, 80.00 %."));
  t.cosine = 1.0000001;  // 1 after rounding
  for (FirstTokenRow& row : t.rows) row.cosine = 1;
  EXPECT_TRUE(Contains(Text(data), "at least **0.00 %**; for the worst prompt, 0.00 %."));
}

TEST(Sentences, WhatTheSamplesSupport) {
  ReportData data = GoldenReport();
  FirstTokenTable& t = data.verify.first_token;
  t.rows.resize(25, t.rows[0]);
  t.matches = 25;
  data.errors.sigma = std::sqrt(0.02) / 10;
  const std::string text = Text(data);
  // 88.7 % is 0.05^(1/25). 299 is the smallest n with 0.99^n ≤ 0.05.
  EXPECT_TRUE(Contains(text,
                       "25 of 25 matching first tokens support a match rate of at least "
                       "**88.7 %**"));
  EXPECT_TRUE(Contains(text, "takes 299 independent positions"));
  EXPECT_TRUE(
      Contains(text, "of σ = 0.141. This run's is 0.0141: the gate would pass an error 10 "));
}

TEST(Sentences, PromptByPrompt) {
  ReportData data = GoldenReport();
  FirstTokenTable& t = data.verify.first_token;
  t.rows = {{"first", "x", "y", false, 0.75, 0.25},
            {"second", "z", "z", true, 0.5, 0.5},
            {"third", "x", "x", true, 0.25, 1e-8},
            {"fourth", "x", "x", true, 0.25, 0}};
  t.matches = 3;
  t.kl = 0.1875;
  std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "| 1 | first | `x` | `y` | ⚠️ ≠ | 0.750000 | 0.25000 |"));
  EXPECT_TRUE(Contains(text, "| 2 | second | `z` | `z` | ✅ = | 0.500000 | 0.50000 |"));
  EXPECT_TRUE(Contains(text, "> ⚠️ **3 of 4 first tokens agree.** The 4 prompts end in only 2 "));
  EXPECT_TRUE(Contains(text, "The largest is 0.500 (“second”), the mean 0.188."));
  Document document = BuildReport(data, Language::kEnglish);
  const Plot* plot = FindPlot(document, "prompt-kl");
  EXPECT_EQ(plot->y.max, 0.75);
  EXPECT_EQ(plot->y.min, 5e-9);
  EXPECT_EQ(plot->x.categories, (std::vector<std::string>{"1", "2", "3", "4"}));
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(plot->series[0].points[i].x, static_cast<double>(i));
    EXPECT_EQ(plot->series[0].points[i].y, t.rows[i].kl);
  }
  t.matches = 4;
  t.rows[2].kl = 1e-20;
  EXPECT_TRUE(Contains(Text(data), "> ✅ **4 of 4 first tokens agree.**"));
  document = BuildReport(data, Language::kEnglish);
  EXPECT_EQ(FindPlot(document, "prompt-kl")->y.min, 1e-12);
  for (FirstTokenRow& row : t.rows) row.kl = 0;  // zeros do not change the axis
  document = BuildReport(data, Language::kEnglish);
  EXPECT_EQ(FindPlot(document, "prompt-kl")->y.min, 1e-6);
  EXPECT_EQ(FindPlot(document, "prompt-kl")->y.max, 0.1);
}

TEST(Sentences, KindsOfPromptsAreSummed) {
  ReportData data = GoldenReport();
  data.verify.positions.by_prompt = {{"a", "prose", "en", 10, 1, 0, 0.1, 0.5, 0},
                                     {"b", "code", "en", 0, 0, 0, 0, 0, 0},
                                     {"c", "prose", "en", 30, 2, 0, 0.3, 0.25, 0}};
  const std::string text = Text(data);
  // (10 · 0.1 + 30 · 0.3) / 40
  EXPECT_TRUE(Contains(text, "| prose | 2 | 40 | 0.250 | 0.500 | 3 |"));
  EXPECT_TRUE(Contains(text, "| code | 1 | 0 | 0 | 0 | 0 |"));
}

TEST(Sentences, GatesThatAreOpen) {
  ReportData data = GoldenReport();
  const auto settled = [&] {
    size_t n = 0;
    const std::string text = Text(data);
    for (size_t at = text.find("positions would settle it"); at != text.npos;
         at = text.find("positions would settle it", at + 1))
      ++n;
    return n;
  };
  std::vector<GateResult>& gates = data.verify.positions.gates;
  size_t open = 0;
  for (GateResult& gate : gates) open += gate.verdict == Verdict::kInconclusive;
  ASSERT_GT(open, 1u);
  EXPECT_EQ(settled(), open);
  for (GateResult& gate : gates) {
    if (gate.verdict == Verdict::kInconclusive) {
      gate.positions_needed = 0;  // unknown
      break;
    }
  }
  EXPECT_EQ(settled(), open - 1);
  EXPECT_TRUE(Contains(Text(data), "**Next step**"));
  data.verify.verdict = Verdict::kPass;
  EXPECT_FALSE(Contains(Text(data), "**Next step**"));
  for (GateResult& gate : gates) gate.verdict = Verdict::kPass;
  EXPECT_EQ(settled(), 0u);
  EXPECT_TRUE(Contains(Text(data), fmt::format("| {0} / {0} |", gates.size())));
}

// A report whose latency cases have round figures.
ReportData Timed() {
  ReportData data = GoldenReport();
  std::vector<LatencyCase>& cases = data.latency.cases;
  for (size_t i = 0; i < 2; ++i) {
    const double k = static_cast<double>(i + 1);
    LatencyCase& c = cases[i];
    c.input_length = 16;
    c.output_length = 50;
    c.latency.p50 = 0.12345 * k;
    c.throughput.p50 = 10.25 * k;
    c.report_tpot.p50 = 0.004 * k;
    c.ttft.p50 = 0.0214 * k;
    c.tpot = {.p10 = 0.001 * k, .p50 = 0.002 * k, .p90 = 0.004 * k};
    c.prefill_speed.p50 = 1234.6 * k;
    c.peak_share.p50 = 0.256 * k;
    c.bandwidth.p50 = 20e9;
    c.bandwidth_share.p50 = 0.404 * k;
    c.decode_bytes = 50'000'000;
  }
  return data;
}

TEST(Sentences, TheGridToItsLastDigit) {
  const ReportData data = Timed();
  const std::string text = Text(data);
  EXPECT_TRUE(Contains(
      text, "| 16 | 50 | 0.123 | 10.2 | 4.00 | 21.4 | 2.00 | 1235 | 26 % | 20.0 | 40 % |"));
  EXPECT_TRUE(Contains(text, "Mean throughput **15.4 tok/s**, mean TPOT **3.00 ms**"));
  EXPECT_TRUE(Contains(text,
                       "memory at **61 %** of the bandwidth probed around it in the mean, "
                       "81 % at best"));
  const Document document = BuildReport(data, Language::kEnglish);
  const Plot* plot = FindPlot(document, "tpot");
  for (size_t i = 0; i < 2; ++i) {
    const double k = static_cast<double>(i + 1);
    const PlotPoint &tpot = plot->series[0].points[i], &limit = plot->series[1].points[i];
    EXPECT_EQ(tpot.x, static_cast<double>(i));
    EXPECT_EQ(limit.x, tpot.x);
    EXPECT_DOUBLE_EQ(tpot.y, 2 * k);
    EXPECT_DOUBLE_EQ(tpot.low, k);
    EXPECT_DOUBLE_EQ(tpot.high, 4 * k);
    EXPECT_DOUBLE_EQ(limit.y, 2.5);  // 50 MB at 20 GB/s
    EXPECT_EQ(limit.low, limit.high);
  }
  EXPECT_DOUBLE_EQ(plot->y.max, 8.8);
  for (const PlotSeries& series : plot->series) EXPECT_LT(series.color, 4);
  ReportData slow = Timed();
  slow.latency.cases[0].decode_bytes = 200'000'000;
  const Document other = BuildReport(slow, Language::kEnglish);
  EXPECT_DOUBLE_EQ(FindPlot(other, "tpot")->y.max, 11);
}

TEST(Sentences, EagerAndFp32Beside) {
  ReportData data = Timed();
  data.modes.cases = data.latency.cases;
  data.modes.cases[0].mode = "eager";
  data.modes.cases[1].mode = "compiled";
  data.modes.cases[1].speedup = MeanRatio{1.25, 1.2, 1.3};
  std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "| eager | 16 | 50 | 0.123 | 10.2 | 2.00 | — | — |"));
  EXPECT_TRUE(
      Contains(text, "| compiled | 16 | 50 | 0.247 | 20.5 | 4.00 | 1.25 | \\[1.20, 1.30\\] |"));
  EXPECT_TRUE(Contains(text, "op by op takes 1.25 times as long here"));
  data.modes.cases[1].speedup = MeanRatio{1.92, 0, 145};  // same digits in all places
  text = Text(data);
  EXPECT_TRUE(Contains(text, "| 2 | \\[0, 145\\] |"));
  EXPECT_TRUE(Contains(text, "op by op takes 2 times as long here"));
  data.comparison.baseline_tpot.p50 = 0.008;
  data.comparison.target_tpot.p50 = 0;
  data.comparison.baseline.weight_bytes = 3 << 10;
  text = Text(data);
  EXPECT_TRUE(Contains(text, "| fp32 | 8.00 | 125.0 | 3.0 KiB | 1.00 × |"));
  EXPECT_TRUE(Contains(text, "| bf16 | 0.00 | 0.0 |"));
  EXPECT_TRUE(Contains(text, "is 2.04 × as fast as fp32 here"));
  data.comparison.ratios.clear();
  data.modes.cases.clear();
  data.dtypes.clear();
  text = Text(data);
  for (const char* absent :
       {"fp32 beside bf16", "as fast as fp32 here", "op by op takes", "All dtypes side by side"})
    EXPECT_FALSE(Contains(text, absent)) << absent;
  EXPECT_TRUE(ToJson(data)["fp32_beside_target"].is_null());
}

TEST(Sentences, SummaryAndUse) {
  ReportData data = Timed();
  data.verify.first_token.cosine = 0.99987651;
  EXPECT_TRUE(Contains(Text(data), "mean cosine 0.999877; mean KL over"));
  EXPECT_TRUE(Contains(Text(data), "the checkpoint states no licence"));
  EXPECT_TRUE(Contains(Text(data), "llm = LLM(\"model\", dtype=\"bfloat16\")"));
  data.options.target = Precision::kFp32;
  data.options.model = "a \"b\" 模型";
  data.identity.license = "mit";
  data.identity.license_source = "README.md";
  const std::string text = Text(data);
  EXPECT_TRUE(Contains(text, "llm = LLM(\"a \\\"b\\\" 模型\", dtype=\"float32\")"));
  EXPECT_TRUE(Contains(text, "Model weights: **mit**, as `README.md` states."));
  EXPECT_FALSE(Contains(text, "states no licence"));
}

TEST(ReportJson, DifferencesAndDefaults) {
  ReportData data = GoldenReport();
  const auto pair = [&] { return ToJson(data)["generation"][0]; };
  EXPECT_TRUE(pair()["first_difference"].is_null());
  EXPECT_FALSE(pair().contains("margin"));
  data.generation[0].first_difference = 0;
  data.generation[0].margin = 0.5;
  EXPECT_EQ(pair()["first_difference"], 0);
  EXPECT_EQ(pair()["margin"], 0.5);
  // Fields that nobody set are zero.
  ReportData empty;
  empty.generation.resize(1);
  empty.dtypes.resize(1);
  empty.parameters.resize(1);
  const auto json = ToJson(empty);
  EXPECT_TRUE(json["generation"][0]["first_difference"].is_null());
  for (const auto& part : {json["load"], json["generation"], json["errors"], json["parameters"]}) {
    const auto flat = part.flatten();
    for (const auto& [key, value] : flat.items())
      EXPECT_TRUE(!value.is_number() || value == 0) << key;
  }
  EXPECT_EQ(json["seconds"], 0);
  EXPECT_EQ(json["weight_rounding_rms"], 0);
  EXPECT_EQ(json["dtypes"][0]["prefill_tokens_per_second"], 0);
  EXPECT_EQ(json["dtypes"][0]["decode_tokens_per_second"], 0);
  EXPECT_EQ(empty.tokenizer_vocab, 0);
  EXPECT_EQ(SpeedComparison().input_length + SpeedComparison().output_length, 0);
}

}  // namespace
}  // namespace merope

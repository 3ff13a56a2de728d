// The gates, on invented positions with a known answer.
#include "verify/figures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

namespace merope {
namespace {

constexpr size_t kVocab = 200;
constexpr int32_t kPrompts = 60, kPromptPositions = 150;

// Makes rows of logits like a model's, and the same rows with Gaussian errors.
class MadeUp {
 public:
  explicit MadeUp(uint32_t seed) : random_(seed) {}

  std::vector<float> Baseline() {
    std::vector<float> row(kVocab);
    for (float& z : row) z = static_cast<float>(3 * normal_(random_));
    return row;
  }
  std::vector<float> Noisy(const std::vector<float>& row, double sigma) {
    std::vector<float> noisy = row;
    for (float& z : noisy) z += static_cast<float>(sigma * normal_(random_));
    return noisy;
  }
  int32_t Token() { return static_cast<int32_t>(random_() % kVocab); }

 private:
  std::mt19937 random_;
  std::normal_distribution<double> normal_;
};

struct Outcome {
  ReferenceCheck check;
  PositionSuite suite;
  const GateResult& Gate(std::string_view key) const {
    for (const GateResult& gate : suite.gates)
      if (gate.key.starts_with(key)) return gate;
    ADD_FAILURE() << "no gate " << key;
    return suite.gates.front();
  }
};

// The errors added to the baseline's logits: noise with these σ, and a bias on the largest logit of
// the target.
struct Errors {
  double target = 0.02, bias = 0;
  double fp32 = 2e-6, bf16 = 0.02;
  double narrow = 0;  // σ of a format with fewer bits; target and emulation have the same noise
};

Outcome Judged(const Errors& errors) {
  MadeUp made(11);
  RowComparer comparer;
  std::vector<PositionRecord> records;
  std::vector<ReferenceRecord> references;
  std::vector<VerifyPrompt> prompts;
  for (int32_t p = 0; p < kPrompts; ++p) {
    prompts.push_back({fmt::format("p{}", p), "prose", "en", "", {}});
    for (int32_t i = 0; i < kPromptPositions; ++i) {
      const std::vector<float> z = made.Baseline();
      const std::vector<float> format = errors.narrow > 0 ? made.Noisy(z, errors.narrow) : z;
      std::vector<float> target = made.Noisy(format, errors.target);
      *std::max_element(target.begin(), target.end()) += static_cast<float>(errors.bias);
      const int32_t next = made.Token();
      records.push_back({p, i, comparer.Compare(z, target, next)});
      if (p < 10) {
        const RowMetrics reference = comparer.Compare(made.Noisy(z, errors.fp32), z, next);
        const RowMetrics emulated = comparer.Compare(z, made.Noisy(format, errors.bf16), next);
        const RowMetrics rounding = comparer.Compare(z, made.Noisy(z, errors.bf16), next);
        references.push_back({p, reference, emulated, rounding, records.back().target});
      }
    }
  }
  Outcome outcome;
  outcome.check = JudgeReference(references, 1536);
  outcome.suite =
      JudgePositions(records, references, FindSuspects(records, references), prompts, outcome.check,
                     errors.narrow > 0, [](int32_t id) { return std::to_string(id); });
  return outcome;
}

TEST(Suite, Bf16NoisePasses) {
  const Outcome o = Judged({});
  EXPECT_EQ(o.check.verdict, Verdict::kPass);
  EXPECT_NEAR(o.check.emulated_sigma, 0.02, 0.0005);
  EXPECT_NEAR(o.check.target_sigma, 0.02, 0.0005);
  EXPECT_EQ(o.suite.positions, kPrompts * kPromptPositions);
  for (const GateResult& gate : o.suite.gates)
    EXPECT_EQ(gate.verdict, Verdict::kPass) << gate.label << " " << gate.value;
  EXPECT_EQ(o.suite.verdict, Verdict::kPass);
  // The number of flips fits the flip model, because the errors are Gaussian as the model assumes.
  EXPECT_GT(o.suite.flips.size(), 5u);
  EXPECT_NEAR(static_cast<double>(o.suite.flips.size()), o.suite.expected_flips,
              3 * std::sqrt(o.suite.expected_flips));
}

TEST(Suite, TheTokenErrorIsThatOfTheNextTokens) {
  // ln q − ln p is ln 2, −ln 4 and 200, which counts as 100.
  std::vector<PositionRecord> records;
  std::vector<ReferenceRecord> references;
  MadeUp made(3);
  RowComparer comparer;
  for (const double delta : {std::log(2.0), -std::log(4.0), 200.0}) {
    const std::vector<float> z = made.Baseline();
    RowMetrics m = comparer.Compare(z, made.Noisy(z, 0.02), 1);
    m.ln_q_next = m.ln_p_next + delta;
    records.push_back({0, static_cast<int32_t>(records.size()), m});
    references.push_back({0, m, m, m, m});
  }
  const std::vector<VerifyPrompt> prompts = {{"p", "prose", "en", "", {}}};
  const PositionSuite suite =
      JudgePositions(records, references, {}, prompts, JudgeReference(references, 64), false,
                     [](int32_t id) { return std::to_string(id); });
  EXPECT_NEAR(suite.token_error, (2 + 4 + std::exp(100)) / 3, 1e30);
  EXPECT_EQ(suite.generated_texts, 0);
}

TEST(Suite, TheFirstDivergentTokenOfEachText) {
  // Three texts of 4 tokens after 2 asked ones. The first has no divergent token, the second the
  // tokens 1 and 3, the third the token 0; a flip of a prompt's own position does not count.
  std::vector<PositionRecord> records;
  std::vector<ReferenceRecord> references;
  std::vector<VerifyPrompt> prompts;
  MadeUp made(3);
  RowComparer comparer;
  const std::vector<std::vector<int32_t>> divergent = {{}, {2, 4}, {0, 1}};
  for (int32_t p = 0; p < 3; ++p) {
    prompts.push_back({.id = fmt::format("p{}", p), .ids = {1, 2, 3, 4, 5}, .generated = 3});
    for (int32_t i = 0; i < 5; ++i) {
      const std::vector<float> z = made.Baseline();
      RowMetrics m = comparer.Compare(z, z, std::nullopt);
      if (std::ranges::count(divergent[static_cast<size_t>(p)], i) > 0)
        m.target_top1 = m.baseline_top1 + 1;
      records.push_back({p, i, m});
      references.push_back({p, m, m, m, m});
    }
  }
  const PositionSuite suite =
      JudgePositions(records, references, {}, prompts, JudgeReference(references, 64), false,
                     [](int32_t id) { return std::to_string(id); });
  EXPECT_EQ(suite.generated_texts, 3);
  EXPECT_EQ(suite.generated_tokens, 12);
  EXPECT_DOUBLE_EQ(suite.first_divergence, (4 + 1 + 0) / 3.0);
  EXPECT_DOUBLE_EQ(suite.divergent_share, 3 / 12.0);
}

TEST(Suite, TheSlopeIsOneOverTheTemperature) {
  EXPECT_NEAR(Judged({}).suite.slope, 1, 1e-4);
  RowComparer comparer;
  MadeUp made(3);
  std::vector<PositionRecord> records;
  std::vector<ReferenceRecord> references;
  std::vector<VerifyPrompt> prompts = {{"a", "prose", "en", "", {}}, {"b", "prose", "en", "", {}}};
  for (int32_t i = 0; i < 40; ++i) {
    const std::vector<float> z = made.Baseline();
    std::vector<float> warm = z;
    for (float& value : warm) value = value / 1.25f + 7;
    const RowMetrics m = comparer.Compare(z, warm, 3);
    records.push_back({i / 20, i % 20, m});
    const RowMetrics noise = comparer.Compare(z, made.Noisy(z, 0.02), 3);
    references.push_back({i / 20, comparer.Compare(z, z, 3), noise, noise, m});
  }
  const PositionSuite suite =
      JudgePositions(records, references, FindSuspects(records, references), prompts,
                     JudgeReference(references, 64), false, [](int32_t) { return std::string(); });
  EXPECT_NEAR(suite.slope, 0.8, 1e-6);
  EXPECT_NEAR(suite.slope_interval.low, 0.8, 1e-6);
  EXPECT_NEAR(suite.slope_interval.high, 0.8, 1e-6);
}

// A format whose errors are larger on the two largest logits has as many flips as they cause.
TEST(Suite, TheFlipModelKnowsLargerErrorsOfTheTop) {
  constexpr float kFactor = 3;
  MadeUp made(5);
  RowComparer comparer;
  std::vector<ReferenceRecord> references;
  for (int32_t i = 0; i < 3000; ++i) {
    const std::vector<float> z = made.Baseline();
    std::vector<float> noisy = made.Noisy(z, 0.1);
    std::vector<size_t> order(kVocab);
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::partial_sort(order, order.begin() + 2, std::greater(),
                              [&](size_t j) { return z[j]; });
    for (const size_t j : {order[0], order[1]}) noisy[j] = z[j] + kFactor * (noisy[j] - z[j]);
    const RowMetrics m = comparer.Compare(z, noisy, std::nullopt);
    references.push_back({i / 10, {}, m, m, m});
  }
  EXPECT_NEAR(MeasureNoise(references).gap_factor, kFactor, 0.15);
  const ReferenceCheck check = JudgeReference(references, 64);
  EXPECT_GT(check.emulated_flips, 100);
  EXPECT_NEAR(static_cast<double>(check.emulated_flips), check.emulated_expected_flips,
              3 * std::sqrt(check.emulated_expected_flips));
}

TEST(Suite, TheTargetItselfPassesExactly) {
  const Outcome o = Judged({.target = 0});
  EXPECT_EQ(o.suite.verdict, Verdict::kPass);
  EXPECT_EQ(o.suite.flips.size(), 0u);
  EXPECT_EQ(o.suite.same_top1_rate, 1);
  EXPECT_EQ(o.suite.delta_ln_ppl, 0);
}

TEST(Suite, TwiceTheNoiseFails) {
  const Outcome o = Judged({.target = 0.04});
  EXPECT_EQ(o.Gate("kl_ratio").verdict, Verdict::kFail);
  EXPECT_EQ(o.Gate("sigma_ratio").verdict, Verdict::kFail);
  EXPECT_NEAR(o.Gate("sigma_ratio").value, 2, 0.05);
  EXPECT_NEAR(o.Gate("kl_ratio").value, 4, 0.4);
  EXPECT_EQ(o.suite.verdict, Verdict::kFail);
}

TEST(Suite, AGrossErrorFailsEverywhere) {
  const Outcome o = Judged({.target = 1});
  EXPECT_EQ(o.Gate("kl_mean").verdict, Verdict::kFail);
  EXPECT_EQ(o.Gate("bhattacharyya_outliers").verdict, Verdict::kFail);
  EXPECT_EQ(o.Gate("same_top1").verdict, Verdict::kFail);
  EXPECT_EQ(o.Gate("unexplained_flips").verdict, Verdict::kFail);
  EXPECT_EQ(o.Gate("flips").verdict, Verdict::kFail);
  EXPECT_EQ(o.Gate("rms_delta_p").verdict, Verdict::kFail);
  EXPECT_GT(o.Gate("unexplained_flips").value, 0);
}

TEST(Suite, ABiasInConfidenceIsSeen) {
  // A wrong softmax scale has this effect: the other tokens lose probability.
  const Outcome o = Judged({.bias = 0.25});
  EXPECT_EQ(o.Gate("delta_ln_ppl").verdict, Verdict::kFail);
  EXPECT_GT(o.Gate("delta_ln_ppl").value, 0.01);
}

GateResult Equivalence(double value, double reach, double noise, int64_t positions,
                       bool narrow = false) {
  return EquivalenceGate({.key = "delta_ln_ppl",
                          .value = value,
                          .interval = Interval{value - reach, value + reach},
                          .confidence = 0.9},
                         noise, positions, narrow);
}

TEST(Equivalence, ALimitThatFollowsFromTheFormatsNoiseSettlesWhatTheAbsoluteOneCannot) {
  // The figures are like those of a model with 135 million parameters, at 835 and 9,349 positions.
  const GateResult quick = Equivalence(0.0012, 0.00165, 0.024, 835);
  EXPECT_EQ(quick.verdict, Verdict::kPass);
  EXPECT_EQ(quick.key, "delta_ln_ppl_noise");
  EXPECT_NEAR(*quick.max, 0.0048, 1e-12);
  EXPECT_EQ(Equivalence(0.00175, 0.0005, 0.024, 9349).verdict, Verdict::kPass);
  // The gate shows the absolute limit if this limit is enough. The absolute limit is 0.002 below
  // 10,000 positions, and 0.001 from 10,000 on.
  const GateResult absolute = Equivalence(0.0005, 0.0014, 0.024, 9999);
  EXPECT_EQ(absolute.key, "delta_ln_ppl");
  EXPECT_EQ(*absolute.max, 0.002);
  EXPECT_EQ(*Equivalence(0.0001, 0.0002, 0.024, 10000).max, 0.001);
}

TEST(Equivalence, ABiasFailsByBothLimits) {
  EXPECT_EQ(Equivalence(0.008, 0.0016, 0.024, 835).verdict, Verdict::kFail);
  EXPECT_EQ(Equivalence(-0.008, 0.0016, 0.024, 835).verdict, Verdict::kFail);
  // The relative limit is at most the limit of gate 1, even if the format's noise is large. The
  // exception is a narrow format: its limit follows only from its own noise.
  EXPECT_EQ(Equivalence(0.008, 0.0016, 0.1, 835).verdict, Verdict::kFail);
  EXPECT_EQ(Equivalence(0.008, 0.0016, 0.1, 835, true).verdict, Verdict::kPass);
  // For a format without noise, only the absolute limit applies.
  EXPECT_EQ(Equivalence(0.001, 0.0005, 0, 835).verdict, Verdict::kPass);
  EXPECT_EQ(Equivalence(0.003, 0.0005, 0, 835).verdict, Verdict::kFail);
}

TEST(Equivalence, ThePositionsNeededKnowThatTheLimitHalves) {
  // At 4 times the positions, the interval would lie within ±0.002. That is below 10,000 positions.
  EXPECT_EQ(Equivalence(0.001, 0.002, 0.001, 2000).positions_needed, 8000);
  // At 4 times 9,000 positions the limit is already ±0.001. With 0.0005 ± 0.002, this limit needs
  // 16 times the positions.
  EXPECT_EQ(Equivalence(0.0005, 0.002, 0.001, 9000).positions_needed, 144000);
  // The limit ±0.001 settles the gate as soon as the limit applies, because the whole interval lies
  // outside.
  EXPECT_EQ(Equivalence(0.0018, 0.0006, 0.001, 9000).positions_needed, 10000);
  // The gate shows the relative limit if this limit would settle the gate with fewer positions.
  const GateResult relative = Equivalence(0.0015, 0.004, 0.02, 1000);
  EXPECT_EQ(relative.verdict, Verdict::kInconclusive);
  EXPECT_EQ(relative.key, "delta_ln_ppl_noise");
  EXPECT_EQ(relative.positions_needed, 2560);
}

// A narrow format is far from fp32. Only the error that the target adds to the error of its format
// counts.
TEST(Suite, ANarrowFormatIsHeldToItsOwn) {
  const Outcome o = Judged({.target = 0.01, .bf16 = 0.01, .narrow = 0.12});
  EXPECT_GT(o.suite.figures.front().mean, 0.005);  // mean KL; too large for a 16-bit format
  for (const GateResult& gate : o.suite.gates)
    EXPECT_EQ(gate.verdict, Verdict::kPass) << gate.label << " " << gate.value;
  EXPECT_EQ(o.suite.verdict, Verdict::kPass);
  EXPECT_EQ(Judged({.bias = 0.25, .narrow = 0.12}).Gate("delta_ln_ppl_format").verdict,
            Verdict::kFail);
  EXPECT_EQ(Judged({.target = 0.3, .narrow = 0.12}).Gate("sigma_ratio").verdict, Verdict::kFail);
  EXPECT_EQ(Judged({.target = 0.3}).Gate("kl_mean").verdict, Verdict::kFail);
}

TEST(Suite, AWrongReferenceFails) {
  const Outcome o = Judged({.fp32 = 1e-3});
  EXPECT_EQ(o.check.verdict, Verdict::kFail);
  EXPECT_GT(o.check.worst_share_of_bound, 1);
  EXPECT_EQ(o.Gate("reference").verdict, Verdict::kFail);
  EXPECT_EQ(o.suite.verdict, Verdict::kFail);
}

TEST(FirstToken, AveragesAndThresholds) {
  FirstTokenTable table;
  for (int i = 0; i < 25; ++i)
    table.rows.push_back({"p", "a", "a", true, 0.999, 0.001, 0.0002, 0.0005, 0.99, 0.05});
  JudgeFirstToken(&table);
  EXPECT_EQ(table.verdict, Verdict::kPass);
  EXPECT_EQ(table.matches, 25);
  EXPECT_NEAR(table.one_minus_cosine, 0.001, 1e-12);
  table.rows[3].match = false;  // 96 %
  JudgeFirstToken(&table);
  EXPECT_EQ(table.verdict, Verdict::kFail);
  table.rows[3].match = true;
  for (FirstTokenRow& row : table.rows) row.kl = 0.0101;
  JudgeFirstToken(&table);
  EXPECT_EQ(table.verdict, Verdict::kFail);
}

}  // namespace
}  // namespace merope

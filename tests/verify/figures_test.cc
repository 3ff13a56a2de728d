// The gates on positions made up so that the answer is known.
#include "verify/figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace merope {
namespace {

constexpr size_t kVocab = 200;
constexpr int32_t kPrompts = 60, kPromptPositions = 150;

// Rows as a model might give them, and what an arithmetic with Gaussian errors makes of them.
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

// What is added to the baseline's logits: noise of these σ, to the target's largest a bias.
struct Errors {
  double target = 0.02, bias = 0;
  double fp32 = 2e-6, bf16 = 0.02;
  double narrow = 0;  // of a format of fewer bits, which target and emulation share
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
  // The flip model holds on errors that are as it supposes.
  EXPECT_GT(o.suite.flips.size(), 5u);
  EXPECT_NEAR(static_cast<double>(o.suite.flips.size()), o.suite.expected_flips,
              3 * std::sqrt(o.suite.expected_flips));
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
  const Outcome o =
      Judged({.bias = 0.25});  // as from a wrong softmax scale: the other tokens lose probability
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
  // Figures as a 135M model gives them at 835 positions, and at 9,349.
  const GateResult quick = Equivalence(0.0012, 0.00165, 0.024, 835);
  EXPECT_EQ(quick.verdict, Verdict::kPass);
  EXPECT_EQ(quick.key, "delta_ln_ppl_noise");
  EXPECT_NEAR(*quick.max, 0.0048, 1e-12);
  EXPECT_EQ(Equivalence(0.00175, 0.0005, 0.024, 9349).verdict, Verdict::kPass);
  // The absolute limit is shown where it suffices, and before 10,000 positions is the wider one.
  const GateResult absolute = Equivalence(0.0005, 0.0014, 0.024, 9999);
  EXPECT_EQ(absolute.key, "delta_ln_ppl");
  EXPECT_EQ(*absolute.max, 0.002);
  EXPECT_EQ(*Equivalence(0.0001, 0.0002, 0.024, 10000).max, 0.001);
}

TEST(Equivalence, ABiasFailsByBothLimits) {
  EXPECT_EQ(Equivalence(0.008, 0.0016, 0.024, 835).verdict, Verdict::kFail);
  EXPECT_EQ(Equivalence(-0.008, 0.0016, 0.024, 835).verdict, Verdict::kFail);
  // A noisy format is granted no more than gate 1 does, but for one that is held to itself alone.
  EXPECT_EQ(Equivalence(0.008, 0.0016, 0.1, 835).verdict, Verdict::kFail);
  EXPECT_EQ(Equivalence(0.008, 0.0016, 0.1, 835, true).verdict, Verdict::kPass);
  // A format without noise leaves the absolute limit alone.
  EXPECT_EQ(Equivalence(0.001, 0.0005, 0, 835).verdict, Verdict::kPass);
  EXPECT_EQ(Equivalence(0.003, 0.0005, 0, 835).verdict, Verdict::kFail);
}

TEST(Equivalence, ThePositionsNeededKnowThatTheLimitHalves) {
  // Within ±0.002 the interval would lie at 4 times the positions: below 10,000 of them.
  EXPECT_EQ(Equivalence(0.001, 0.002, 0.001, 2000).positions_needed, 8000);
  // There the limit is ±0.001 already, which needs 16 times as many at 0.0005 ± 0.002.
  EXPECT_EQ(Equivalence(0.0005, 0.002, 0.001, 9000).positions_needed, 144000);
  // At ±0.001 the matter is settled as soon as that limit holds: the value lies wholly outside.
  EXPECT_EQ(Equivalence(0.0018, 0.0006, 0.001, 9000).positions_needed, 10000);
  // The relative limit is shown where it would settle earlier.
  const GateResult relative = Equivalence(0.0015, 0.004, 0.02, 1000);
  EXPECT_EQ(relative.verdict, Verdict::kInconclusive);
  EXPECT_EQ(relative.key, "delta_ln_ppl_noise");
  EXPECT_EQ(relative.positions_needed, 2560);
}

// Far from fp32, as its format is: only what it adds to that counts.
TEST(Suite, ANarrowFormatIsHeldToItsOwn) {
  const Outcome o = Judged({.target = 0.01, .bf16 = 0.01, .narrow = 0.12});
  EXPECT_GT(o.suite.figures.front().mean, 0.005);  // of KL, which 16 bits are not allowed
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

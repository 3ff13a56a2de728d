// The expected values come from SciPy 1.17.1 (binomtest.proportion_ci, special.betainc,
// poisson.interval, norm.cdf, and stats.bootstrap with the percentile method and 200,000 resamples)
// and from NumPy's quantile.
#include "verify/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace merope {
namespace {

TEST(ClopperPearson, MatchesScipy) {
  const struct {
    double successes, trials, low, high;
  } cases[] = {{25, 25, 0.8628148284692875, 1},
               {0, 10, 0, 0.30849710781876294},
               {3, 10, 0.06673951117773447, 0.652452850060008},
               {299, 299, 0.987738404092463, 1},
               {6236, 6302, 0.9866949716263163, 0.9918912870704438}};
  for (const auto& c : cases) {
    const Interval interval = ClopperPearson(c.successes, c.trials, 0.95);
    EXPECT_NEAR(interval.low, c.low, 1e-10) << c.successes << " of " << c.trials;
    EXPECT_NEAR(interval.high, c.high, 1e-10) << c.successes << " of " << c.trials;
  }
}

TEST(RegularizedBeta, MatchesScipy) {
  EXPECT_NEAR(RegularizedBeta(2, 3, .3), 0.3483, 1e-13);
  EXPECT_NEAR(RegularizedBeta(.5, .5, .2), 0.2951672353008665, 1e-13);
  EXPECT_NEAR(RegularizedBeta(100, 3, .97), 0.40633618022259166, 1e-11);
  EXPECT_NEAR(RegularizedBeta(6237, 66, .99), 0.6302625462097055, 1e-9);
}

TEST(ChiSquaredTail, MatchesScipy) {
  EXPECT_NEAR(ChiSquaredTail(3, 1), 0.08326451666355042, 1e-13);
  EXPECT_NEAR(ChiSquaredTail(11.3, 4), 0.02339148655316566, 1e-13);
  EXPECT_NEAR(ChiSquaredTail(0.5, 10), 0.999993388289439, 1e-13);
  EXPECT_NEAR(ChiSquaredTail(60, 20), 7.121750862815593e-06, 1e-17);
  EXPECT_NEAR(ChiSquaredTail(5, 5), 0.4158801869955079, 1e-13);
  EXPECT_EQ(ChiSquaredTail(0, 3), 1);
}

// SciPy's kstwo gives exact values; the approximation is within 0.002 of them.
TEST(KolmogorovTail, IsCloseToScipy) {
  EXPECT_NEAR(KolmogorovTail(0.05, 800), 0.035390032458746834, 0.002);
  EXPECT_NEAR(KolmogorovTail(0.2, 40), 0.07048187616884194, 0.002);
  EXPECT_EQ(KolmogorovTail(0, 10), 1);
  EXPECT_LT(KolmogorovTail(1, 100), 1e-12);
}

TEST(UniformDistance, IsTheLargestStep) {
  EXPECT_NEAR(UniformDistance({0.5}), 0.5, 1e-15);
  EXPECT_NEAR(UniformDistance({0.9, 0.1}), 0.4, 1e-15);
  EXPECT_NEAR(UniformDistance({0.25, 0.75, 0.5, 1}), 0.25, 1e-15);
}

TEST(PoissonInterval, MatchesScipy) {
  const struct {
    double mean, low, high;
  } cases[] = {{0.5, 0, 3}, {3, 0, 8}, {66.2, 46, 88}, {1000, 919, 1082}};
  for (const auto& c : cases) {
    const Interval interval = PoissonInterval(c.mean, 0.99);
    EXPECT_EQ(interval.low, c.low) << c.mean;
    EXPECT_EQ(interval.high, c.high) << c.mean;
  }
  EXPECT_EQ(PoissonInterval(0, 0.99).high, 0);
}

TEST(NormalCdf, MatchesScipy) {
  EXPECT_NEAR(NormalCdf(-3), 0.0013498980316300933, 1e-15);
  EXPECT_NEAR(NormalCdf(-.5), 0.3085375387259869, 1e-15);
  EXPECT_NEAR(NormalCdf(1.2), 0.8849303297782918, 1e-15);
}

TEST(Quantile, MatchesNumpy) {
  const std::vector<double> values = {3, 1, 4, 1, 5, 9, 2, 6};
  EXPECT_DOUBLE_EQ(Quantile(values, .5), 3.5);
  EXPECT_DOUBLE_EQ(Quantile(values, .99), 8.79);
  EXPECT_DOUBLE_EQ(Quantile(values, .1), 1);
  EXPECT_DOUBLE_EQ(Quantile(values, 1), 9);
}

TEST(ClusterBootstrap, RatioMatchesScipy) {
  std::vector<double> sums(60), counts(60);
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] = static_cast<double>(i * 7919 % 101) / 10;
    counts[i] = 1 + static_cast<double>(i % 3);
  }
  const ClusterBootstrap bootstrap(60);
  // Over seeds, an end of the interval varies by about σ·√(q(1−q)/B)/φ(z_q), which is 0.22·0.06
  // here. The test allows four times this value.
  constexpr double kSeedNoise = 0.05;
  const Interval at95 = bootstrap.Ratio(sums, counts, .95),
                 at90 = bootstrap.Ratio(sums, counts, .9);
  EXPECT_NEAR(at95.low, 2.0703108858471073, kSeedNoise);
  EXPECT_NEAR(at95.high, 2.9448598130841117, kSeedNoise);
  EXPECT_NEAR(at90.low, 2.134920634920635, kSeedNoise);
  EXPECT_NEAR(at90.high, 2.8666666666666667, kSeedNoise);
  EXPECT_EQ(ClusterBootstrap::kResamples, 2000);  // as in docs/verification.md
  const Interval again = ClusterBootstrap(60).Ratio(sums, counts, .95);
  EXPECT_EQ(again.low, at95.low);
  EXPECT_EQ(again.high, at95.high);
}

TEST(ClusterBootstrap, QuantileIntervalMatchesNumpyResampling) {
  std::vector<double> values(400);
  std::vector<int32_t> clusters(400);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<double>(i * 7919 % 997) / 997;
    clusters[i] = static_cast<int32_t>(i / 5);
  }
  // NumPy gives [0.8546, 0.9360] for the quantile 0.9, with 20,000 resamples of 80 clusters.
  const Interval interval = ClusterBootstrap(80).QuantileInterval(values, clusters, .9, .95);
  EXPECT_NEAR(interval.low, 0.8546, 0.01);
  EXPECT_NEAR(interval.high, 0.9360, 0.01);
}

TEST(ClusterBootstrap, OneClusterKnowsNoSpread) {
  const std::vector<double> sum = {6}, count = {3};
  const Interval interval = ClusterBootstrap(1).Ratio(sum, count, .95);
  EXPECT_EQ(interval.low, 2);
  EXPECT_EQ(interval.high, 2);
}

TEST(DesignEffect, OfClusteredFailures) {
  // By hand: the rate is 0.85. Σ excess² = 15·1.5² + 5·4.5² = 135. The effect is 135/200²·20/19
  // divided by 0.1275/200.
  std::vector<double> successes(20), trials(20, 10);
  for (size_t i = 0; i < 20; ++i) successes[i] = i % 4 == 0 ? 4 : 10;
  EXPECT_NEAR(ClusterBootstrap::DesignEffect(successes, trials),
              135.0 / 40000 * 20 / 19 / (0.1275 / 200), 1e-12);
  EXPECT_EQ(ClusterBootstrap::DesignEffect(trials, trials), 1);
}

TEST(Judge, IntervalAgainstLimit) {
  GateResult gate{.value = 0.004, .interval = Interval{0.002, 0.0045}, .max = 0.005};
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kPass);
  gate.interval = Interval{0.003, 0.006};
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kInconclusive);
  EXPECT_EQ(gate.positions_needed, 400);  // half-width 0.002 must shrink to 0.001
  gate = {.value = 0.008, .interval = Interval{0.006, 0.01}, .max = 0.005};
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kFail);
}

TEST(Judge, ThePositionsNeededShrinkTheIntervalToTheLimit) {
  GateResult gate{.value = 2, .interval = Interval{0, 4}, .max = 3};
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kInconclusive);
  EXPECT_EQ(gate.positions_needed, 400);  // half-width 2 must shrink to 1
  gate.max = 2;                           // no number of positions settles this gate
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kInconclusive);
  EXPECT_EQ(gate.positions_needed, 0);
  gate.max = 2.00001;  // more than 10⁹ positions count as unknown
  Judge(&gate, 100);
  EXPECT_EQ(gate.positions_needed, 0);
}

TEST(Judge, EquivalenceNeedsTheWholeInterval) {
  GateResult gate{
      .value = 0.001, .interval = Interval{-0.0015, 0.0018}, .min = -0.002, .max = 0.002};
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kPass);
  gate.interval = Interval{-0.0025, 0.0045};
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kInconclusive);
  EXPECT_EQ(gate.positions_needed, 1225);  // the upper part, 0.0035, must shrink to 0.001
  gate = {.value = 0.004, .interval = Interval{0.003, 0.005}, .min = -0.002, .max = 0.002};
  Judge(&gate, 100);
  EXPECT_EQ(gate.verdict, Verdict::kFail);
}

TEST(Judge, PointEstimates) {
  GateResult gate{.value = 0.01, .max = 0.01, .strict = true};
  Judge(&gate, 25);
  EXPECT_EQ(gate.verdict, Verdict::kFail);
  gate.strict = false;
  Judge(&gate, 25);
  EXPECT_EQ(gate.verdict, Verdict::kPass);
  gate.value = std::nan("");
  Judge(&gate, 25);
  EXPECT_EQ(gate.verdict, Verdict::kFail);
}

}  // namespace
}  // namespace merope

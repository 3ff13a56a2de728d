// Expected values: SciPy 1.17.1 (special.softmax, stats.entropy, spatial.distance, stats.spearmanr,
// special.kl_div) on the same rows in double.
#include "verify/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace merope {
namespace {

const std::vector<float> kBaseline = {1.5f, -.25f, .75f, 3.0f, -2.0f, .75f, .125f, 2.875f};
const std::vector<float> kTarget = {1.25f, -.5f, 1.0f, 2.75f, -1.5f, .5f, .25f, 3.0f};
constexpr double kTight = 1e-14;

TEST(RowMetrics, MatchesScipy) {
  RowComparer comparer;
  const RowMetrics m = comparer.Compare(kBaseline, kTarget, 2);
  EXPECT_NEAR(m.kl, 0.019520840404178716, kTight);
  EXPECT_NEAR(m.js, 0.004900187594159576, kTight);
  EXPECT_NEAR(m.tv, 0.09736418919432781, kTight);
  EXPECT_NEAR(m.hellinger2, 0.004905399509694838, kTight);
  EXPECT_NEAR(m.cosine, 0.9824567374497811, kTight);
  EXPECT_NEAR(m.mae, 0.024341047298581952, kTight);
  EXPECT_NEAR(m.spearman, 0.9700772721497398, kTight);  // with a tie in the baseline
  EXPECT_NEAR(m.mean_relative_error, 0.27686570001258637, kTight);
  EXPECT_NEAR(m.relative_l2, 0.17666776438644927, kTight);
  EXPECT_NEAR(m.sigma_d, 0.2724311839712921, kTight);
  EXPECT_NEAR(m.baseline_sigma, 1.5420537239344159, kTight);
  EXPECT_TRUE(m.has_next);
  EXPECT_NEAR(m.p_next, 0.04358304574459988, kTight);
  EXPECT_NEAR(m.q_next, 0.05948204263961604, kTight);
  EXPECT_NEAR(m.ln_p_next, -3.133087063321252, kTight);
  EXPECT_NEAR(m.ln_q_next, -2.82208081635886, kTight);
  EXPECT_EQ(m.baseline_top1, 3);
  EXPECT_EQ(m.target_top1, 7);
  EXPECT_DOUBLE_EQ(m.gap, 0.125);
}

TEST(RowMetrics, EqualRowsGiveExactlyNothing) {
  RowComparer comparer;
  const RowMetrics m = comparer.Compare(kBaseline, kBaseline, std::nullopt);
  EXPECT_EQ(m.kl, 0);
  EXPECT_EQ(m.js, 0);
  EXPECT_EQ(m.tv, 0);
  EXPECT_EQ(m.hellinger2, 0);
  EXPECT_EQ(m.relative_l2, 0);
  EXPECT_EQ(m.mean_relative_error, 0);
  EXPECT_DOUBLE_EQ(m.cosine, 1);
  EXPECT_DOUBLE_EQ(m.spearman, 1);
  EXPECT_FALSE(m.has_next);
}

TEST(RowMetrics, AConstantAddedToALogitRowChangesNothing) {
  std::vector<float> shifted = kBaseline;
  for (float& z : shifted) z += 16;  // exact in fp32 for these values
  RowComparer comparer;
  const RowMetrics m = comparer.Compare(kBaseline, shifted, std::nullopt);
  EXPECT_NEAR(m.kl, 0, 1e-15);
  EXPECT_EQ(m.relative_l2, 0);
}

TEST(RowMetrics, ProbabilitiesThatVanishStayFinite) {
  const std::vector<float> sharp = {0, -2000, -3000, -1}, other = {-2000, 0, -1, -3000};
  RowComparer comparer;
  const RowMetrics m = comparer.Compare(sharp, other, 1);
  EXPECT_TRUE(std::isfinite(m.kl));
  EXPECT_NEAR(m.tv, 1, 1e-12);
  EXPECT_NEAR(m.js, std::log(2.0), 1e-12);
  EXPECT_NEAR(m.hellinger2, 1, 1e-12);
}

TEST(RowMetrics, RadixRanksAgreeWithSortedOnes) {
  std::mt19937 random(5);
  std::vector<float> a(5000), b(5000);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(static_cast<int>(random() % 4000) - 2000) /
           64;  // ties, both signs, both zeros
    b[i] = a[i] + static_cast<float>(static_cast<int>(random() % 200) - 100) / 128;
    if (a[i] == 0 && i % 2 == 0) a[i] = -0.0f;
  }
  RowComparer comparer;
  const double by_radix = comparer.Compare(a, b, std::nullopt).spearman;
  EXPECT_NEAR(
      by_radix,
      Spearman(std::vector<double>(a.begin(), a.end()), std::vector<double>(b.begin(), b.end())),
      1e-12);
  EXPECT_LT(by_radix, 1);
}

TEST(TopMetrics, MatchesScipyOnTheBaselinesTwenty) {
  std::vector<float> baseline(24), target(24);
  for (size_t i = 0; i < 24; ++i) {
    const int k = static_cast<int>(i);
    baseline[i] = static_cast<float>(k * 37 % 24) / 8 - 1;
    target[i] = baseline[i] + static_cast<float>(k * 5 % 7 - 3) / 16;
  }
  RowComparer comparer;
  const TopMetrics m = comparer.CompareTop(baseline, target);
  EXPECT_NEAR(m.kl, 0.007900094087020184, kTight);
  EXPECT_NEAR(m.js, 0.001959284291071949, kTight);
  EXPECT_NEAR(m.cosine, 0.9926239904976781, kTight);
  EXPECT_NEAR(m.mae, 0.005337337316907105, kTight);
  EXPECT_NEAR(m.spearman, 0.9860569566840298, kTight);
  EXPECT_NEAR(m.mean_relative_error, 0.10961559365670097, kTight);
  EXPECT_EQ(m.baseline_top1, 11);
  EXPECT_EQ(m.target_top1, 11);
}

TEST(Spearman, ConstantSeries) {
  const std::vector<double> constant = {1, 1, 1}, rising = {1, 2, 3}, falling = {3, 2, 1};
  EXPECT_EQ(Spearman(constant, constant), 1);
  EXPECT_EQ(Spearman(constant, rising), 0);
  EXPECT_DOUBLE_EQ(Spearman(rising, falling), -1);
}

}  // namespace
}  // namespace merope

// The expected values come from SciPy 1.17.1 (special.softmax, stats.entropy, spatial.distance,
// stats.spearmanr, special.kl_div) on the same rows in double precision.
#include "verify/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <random>
#include <vector>

namespace merope {
namespace {

const std::vector<float> kBaseline = {1.5f, -.25f, .75f, 3.0f, -2.0f, .75f, .125f, 2.875f};
const std::vector<float> kTarget = {1.25f, -.5f, 1.0f, 2.75f, -1.5f, .5f, .25f, 3.0f};
constexpr double kTight = 1e-14;

// All 8 tokens are among the 50 most probable. The largest error of those is 0.5, and of the 5 most
// probable tokens 0.25; the largest logit is 3.
TEST(RowMetrics, TiersHaveTheirOwnLimits) {
  RowComparer comparer;
  EXPECT_NEAR(*comparer.Compare(kBaseline, kTarget, 2).tier_share, 0.5 / 3 / 0.02, kTight);
  std::vector<float> target = kBaseline;
  target[3] += 0.125f;  // in the first tier
  EXPECT_NEAR(*comparer.Compare(kBaseline, target, 2).tier_share, 0.125 / 3 / 0.011, kTight);
  EXPECT_EQ(comparer.Compare(kBaseline, kBaseline, 2).tier_share, 0);

  std::vector<float> many(2000), wrong;
  for (size_t i = 0; i < many.size(); ++i) many[i] = 4 - static_cast<float>(i) / 512;
  for (const auto& [at, limit] : std::vector<std::pair<size_t, double>>{
           {4, 0.011}, {5, 0.02}, {49, 0.02}, {50, 0.03}, {999, 0.03}, {1000, 0.05}}) {
    wrong = many;
    wrong[at] += 0.0625f;
    EXPECT_NEAR(*comparer.Compare(many, wrong, 2).tier_share, 0.0625 / 4 / limit, kTight) << at;
  }
}

TEST(RowMetrics, MatchesScipy) {
  RowComparer comparer;
  const RowMetrics m = comparer.Compare(kBaseline, kTarget, 2);
  EXPECT_NEAR(m.kl, 0.019520840404178716, kTight);
  EXPECT_NEAR(m.js, 0.004900187594159576, kTight);
  EXPECT_NEAR(m.tv, 0.09736418919432781, kTight);
  EXPECT_NEAR(m.hellinger2, 0.004905399509694838, kTight);
  EXPECT_NEAR(m.cosine, 0.9824567374497811, kTight);
  EXPECT_NEAR(m.mae, 0.024341047298581952, kTight);
  EXPECT_NEAR(m.spearman, 0.9700772721497398, kTight);  // the baseline has a tie
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
  EXPECT_NEAR(m.product, 17.3359375, kTight);
  EXPECT_NEAR(m.square, 19.0234375, kTight);
  ASSERT_TRUE(m.gap_error);
  EXPECT_DOUBLE_EQ(*m.gap_error, -0.375);
}

TEST(RowMetrics, ATieWithTheBaselinesTopIsNoFlip) {
  RowComparer comparer;
  std::vector<float> tied = kTarget;
  tied[3] = tied[7];
  EXPECT_EQ(comparer.Compare(kBaseline, tied, std::nullopt).target_top1, 3);
  tied[0] = tied[7];  // a smaller id with the same logit
  EXPECT_EQ(comparer.Compare(kBaseline, tied, std::nullopt).target_top1, 3);
  const std::vector<int32_t> ids = {7, 3, 0};
  const std::vector<float> equal = {-1, -1, -1}, lower = {-1, -1.5f, -1};
  EXPECT_EQ(comparer.Compare(kBaseline, {ids, equal, 0}, std::nullopt).target_top1, 3);
  EXPECT_EQ(comparer.Compare(kBaseline, {ids, lower, 0}, std::nullopt).target_top1, 0);
}

TEST(RowMetrics, AListedRowHasAGapErrorIfItHasBothTokens) {
  RowComparer comparer;
  const std::vector<float> logprobs = {-0.5f, -1.5f, -3};
  const std::vector<int32_t> both = {7, 3, 0}, one = {7, 2, 0};
  const RowMetrics with = comparer.Compare(kBaseline, {both, logprobs, 0}, std::nullopt);
  ASSERT_TRUE(with.gap_error);
  EXPECT_DOUBLE_EQ(*with.gap_error, -1.5 + 0.5 - 0.125);
  EXPECT_FALSE(comparer.Compare(kBaseline, {one, logprobs, 0}, std::nullopt).gap_error);
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
    // Values with ties, both signs and both zeros.
    a[i] = static_cast<float>(static_cast<int>(random() % 4000) - 2000) / 64;
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

// The figures of some listed tokens bound the figures of the whole rows. If all tokens are listed,
// the figures are equal.
TEST(ListedRows, BoundWholeRows) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  RowComparer comparer;
  for (int round = 0; round < 50; ++round) {
    std::vector<float> baseline(100), target(100);
    for (size_t i = 0; i < baseline.size(); ++i) {
      baseline[i] = 3 * normal(random);
      target[i] = baseline[i] + 0.5f * normal(random);
    }
    const RowMetrics whole = comparer.Compare(baseline, target, 7);
    for (const int32_t k : {20, 60, 100}) {
      std::vector<int32_t> ids(100);
      std::iota(ids.begin(), ids.end(), 0);
      std::ranges::sort(ids, [&](int32_t a, int32_t b) {
        return target[static_cast<size_t>(a)] > target[static_cast<size_t>(b)];
      });
      ids.resize(static_cast<size_t>(k));
      std::ranges::shuffle(ids, random);
      std::vector<float> logprobs;
      const ListedRow row = comparer.List(target, ids, 7, &logprobs);
      const RowMetrics m = comparer.Compare(baseline, row, 7);
      constexpr double kRounding = 1e-5;  // of log-probabilities in fp32
      EXPECT_LE(m.kl, whole.kl + kRounding);
      EXPECT_LE(m.js, whole.js + kRounding);
      EXPECT_LE(m.tv, whole.tv + kRounding);
      EXPECT_LE(m.hellinger2, whole.hellinger2 + kRounding);
      EXPECT_GE(*m.tv_most, whole.tv - kRounding);
      EXPECT_EQ(m.target_top1, whole.target_top1);
      EXPECT_EQ(m.gap, whole.gap);
      EXPECT_NEAR(m.ln_q_next, whole.ln_q_next, kRounding);
      EXPECT_EQ(m.ln_p_next, whole.ln_p_next);
      if (k < 100) continue;
      EXPECT_NEAR(m.kl, whole.kl, kRounding);
      EXPECT_NEAR(*m.tv_most, whole.tv, kRounding);
      EXPECT_NEAR(m.sigma_d, whole.sigma_d, kRounding);
      EXPECT_NEAR(m.relative_l2, whole.relative_l2, kRounding);
      EXPECT_NEAR(m.spearman, whole.spearman, kRounding);
      const TopMetrics top = comparer.CompareTop(baseline, target),
                       listed = comparer.CompareTop(baseline, row);
      EXPECT_NEAR(listed.kl, top.kl, kRounding);
      EXPECT_NEAR(listed.cosine, top.cosine, kRounding);
    }
  }
}

// By hand: p = (1/2, 1/4, 1/8, 1/8). q of the first two tokens is 1/4 and 1/2.
TEST(ListedRows, TheTailIsOneOutcome) {
  const float ln2 = std::numbers::ln2_v<float>;
  const std::vector<float> baseline = {0, -ln2, -2 * ln2, -2 * ln2}, logprobs = {-2 * ln2, -ln2};
  const std::vector<int32_t> ids = {0, 1};
  RowComparer comparer;
  const RowMetrics m = comparer.Compare(baseline, {ids, logprobs}, std::nullopt);
  EXPECT_NEAR(m.kl, 0.25 * std::numbers::ln2, 1e-6);  // ½ ln 2 − ¼ ln 2; the tails add 0
  EXPECT_NEAR(m.tv, 0.25, 1e-6);
  EXPECT_NEAR(*m.tv_most, 0.5, 1e-6);  // if the tails share no token
  EXPECT_EQ(m.target_top1, 1);
}

// A token that is not listed is at most as probable as the least probable listed token.
TEST(ListedRows, WhatIsNotListedOfTheTwentyCountsAsItSuits) {
  std::vector<float> baseline(40, 0.0f), logprobs(20, std::log(0.05f));
  std::vector<int32_t> ids(20);
  std::iota(ids.begin(), ids.end(), 0);
  RowComparer comparer;
  const TopMetrics same = comparer.CompareTop(baseline, {ids, logprobs});
  EXPECT_GT(same.kl, 0.1);  // each p is 1/40, each q is 1/20
  std::iota(ids.begin(), ids.end(), 20);
  const TopMetrics others = comparer.CompareTop(baseline, {ids, logprobs});
  EXPECT_NEAR(others.kl, 0, 1e-9);  // q of the first 20 tokens can be 1/40, as p is
  EXPECT_EQ(others.target_top1, 20);
}

}  // namespace
}  // namespace merope

#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "engine/random.h"

namespace merope {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The tokens that many draws give, and how often.
std::map<int32_t, int> Draw(const SamplingParams& params, const std::vector<float>& logits, int n) {
  Sampler sampler(params);
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.Sample(logits)];
  return counts;
}

std::set<int32_t> Keys(const std::map<int32_t, int>& counts) {
  std::set<int32_t> keys;
  for (const auto& [key, count] : counts) keys.insert(key);
  return keys;
}

// Logits whose softmax is these probabilities.
std::vector<float> Logs(std::initializer_list<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

SamplingParams At(double temperature) { return {.temperature = temperature, .seed = 1}; }

// The known answers that the authors of Philox publish (Random123, kat_vectors).
TEST(RandomTest, PhiloxKnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(SamplerTest, GreedyTakesTheSmallestIdOfEquals) {
  Sampler sampler({});
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-kInfinity, -5, -kInfinity}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{NAN, -5, NAN, -4}), 3);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-0.0f, 0.0f}), 0);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-kInfinity, -kInfinity}), 0);
}

TEST(SamplerTest, SameSeedSameTokens) {
  const std::vector<float> logits(1000, 0.0f);
  Sampler a({.temperature = 1, .seed = 42}), b({.temperature = 1, .seed = 42}),
      c({.temperature = 1, .seed = 43});
  int equal = 0;
  for (int i = 0; i < 200; ++i) {
    const int32_t token = a.Sample(logits);
    EXPECT_EQ(token, b.Sample(logits));
    equal += token == c.Sample(logits);
  }
  EXPECT_LT(equal, 10);
}

TEST(SamplerTest, DrawsTheDistribution) {
  const std::vector<double> p = {0.4, 0.3, 0.15, 0.1, 0.05};
  constexpr int kDraws = 20000;
  for (const double temperature : {1.0, 2.0}) {
    std::vector<double> expected;
    double total = 0;
    for (const double x : p) total += expected.emplace_back(std::pow(x, 1 / temperature));
    const auto counts = Draw(At(temperature), Logs({0.4, 0.3, 0.15, 0.1, 0.05}), kDraws);
    double chi_square = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      const double mean = kDraws * expected[i] / total;
      const double difference = counts.at(static_cast<int32_t>(i)) - mean;
      chi_square += difference * difference / mean;
    }
    EXPECT_LT(chi_square, 18.47) << temperature;  // 4 degrees of freedom, p = 0.001
  }
}

TEST(SamplerTest, TopKKeepsTheLikeliestTiesById) {
  SamplingParams params = At(1);
  params.top_k = 2;
  EXPECT_EQ(Keys(Draw(params, {1, 5, 4, 4, 4}, 2000)), (std::set<int32_t>{1, 2}));
  params.top_k = 1;
  EXPECT_EQ(Keys(Draw(params, {7, 7, 7}, 500)), (std::set<int32_t>{0}));
  params.top_k = -1;
  EXPECT_EQ(Keys(Draw(params, {1, 1, 1}, 500)).size(), 3u);
  params.top_k = 100;
  EXPECT_EQ(Keys(Draw(params, {1, 1, 1}, 500)).size(), 3u);
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  const std::vector<float> logits = Logs({0.05, 0.5, 0.3, 0.15});
  const std::map<double, std::set<int32_t>> sets = {{1e-9, {1}},       {0.49, {1}},
                                                    {0.51, {1, 2}},    {0.79, {1, 2}},
                                                    {0.81, {1, 2, 3}}, {0.96, {0, 1, 2, 3}}};
  for (const auto& [top_p, expected] : sets) {
    SamplingParams params = At(1);
    params.top_p = top_p;
    EXPECT_EQ(Keys(Draw(params, logits, 3000)), expected) << top_p;
  }
  // Among equals, the smaller ids.
  SamplingParams params = At(1);
  params.top_p = 0.5;
  EXPECT_EQ(Keys(Draw(params, {0, 0, 0, 0}, 1000)), (std::set<int32_t>{0, 1}));
}

// The set that a full sort gives, where thousands of candidates are needed.
TEST(SamplerTest, TopPOfALongTail) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> logits(5000);
  for (float& logit : logits) logit = normal(random);
  SamplingParams params = At(1);
  params.top_p = 0.9;
  std::vector<std::pair<float, int32_t>> sorted;
  double total = 0, sum = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    sorted.emplace_back(-logits[i], static_cast<int32_t>(i));
    total += std::exp(logits[i]);
  }
  std::sort(sorted.begin(), sorted.end());
  std::set<int32_t> allowed;
  for (const auto& [logit, id] : sorted) {
    if (sum >= 0.9 * total) break;
    allowed.insert(id);
    sum += std::exp(-logit);
  }
  ASSERT_GT(allowed.size(), 1000u);
  double below_zero = 0;  // of the allowed ones' probability
  for (const int32_t id : allowed) {
    const double logit = logits[static_cast<size_t>(id)];
    if (logit < 0) below_zero += std::exp(logit) / sum;
  }
  constexpr int kDraws = 2000;
  int drawn_below_zero = 0;
  for (const auto& [id, count] : Draw(params, logits, kDraws)) {
    EXPECT_TRUE(allowed.contains(id)) << id;
    if (logits[static_cast<size_t>(id)] < 0) drawn_below_zero += count;
  }
  const double mean = kDraws * below_zero;
  ASSERT_GT(mean, 50);
  EXPECT_NEAR(drawn_below_zero, mean, 4 * std::sqrt(mean * (1 - below_zero)));
}

TEST(SamplerTest, MinPIsAShareOfTheLikeliest) {
  SamplingParams params = At(1);
  params.min_p = 0.24;
  const std::vector<float> logits = Logs({0.4, 0.11, 0.09, 0.2, 0.2});
  EXPECT_EQ(Keys(Draw(params, logits, 3000)), (std::set<int32_t>{0, 1, 3, 4}));
  params.temperature = 0.5;  // the temperature comes first: shares are squared
  EXPECT_EQ(Keys(Draw(params, logits, 3000)), (std::set<int32_t>{0, 3, 4}));
  params.min_p = 1;
  EXPECT_EQ(Keys(Draw(params, logits, 300)), (std::set<int32_t>{0}));
}

TEST(SamplerTest, MinusInfinityIsNeverDrawn) {
  const std::vector<float> logits = {-kInfinity, 1, -kInfinity, NAN, 2};
  for (const double top_p : {1.0, 0.999999}) {
    SamplingParams params = At(100);
    params.top_p = top_p;
    EXPECT_EQ(Keys(Draw(params, logits, 500)), (std::set<int32_t>{1, 4}));
  }
  EXPECT_EQ(Keys(Draw(At(1), {-kInfinity, -kInfinity}, 10)), (std::set<int32_t>{0}));
}

TEST(SamplerTest, ParametersAreChecked) {
  const auto error = [](SamplingParams params) {
    const Status status = Validate(params);
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(error({}), "");
  EXPECT_EQ(error({.temperature = 1, .top_p = 1, .min_p = 1, .top_k = -1, .seed = 0}), "");
  EXPECT_EQ(error({.temperature = -1}).find("temperature: expected"), 0u);
  EXPECT_EQ(error({.temperature = NAN}).find("temperature: expected"), 0u);
  EXPECT_EQ(error({.top_p = 0}).find("top_p: expected"), 0u);
  EXPECT_EQ(error({.top_p = 1.5}).find("top_p: expected"), 0u);
  EXPECT_EQ(error({.min_p = NAN}).find("min_p: expected"), 0u);
  EXPECT_EQ(error({.top_k = -2}).find("top_k: expected"), 0u);
}

TEST(LogProbTest, IsTheLogOfTheSoftmax) {
  EXPECT_NEAR(LogProb(Logs({0.5, 0.25, 0.25}), 1), std::log(0.25), 1e-7);
  EXPECT_NEAR(LogProb(std::vector<float>{1000, 1000}, 0), -std::log(2), 1e-12);
  EXPECT_EQ(LogProb(std::vector<float>{0, -kInfinity}, 1),
            -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace merope

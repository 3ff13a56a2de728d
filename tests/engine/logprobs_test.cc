// Tests the logprobs of one position.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/sampler.h"
#include "tests/engine/logits.h"

namespace merope {
namespace {

void ExpectLogprobs(const PositionLogprobs& found, const PositionLogprobs& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].id, expected[i].id) << i;
    EXPECT_EQ(found[i].rank, expected[i].rank) << i;
    if (std::isfinite(expected[i].logprob)) {
      EXPECT_NEAR(found[i].logprob, expected[i].logprob, 1e-6) << i;
    } else {
      EXPECT_EQ(found[i].logprob, expected[i].logprob) << i;
    }
  }
}

TEST(TopLogprobsTest, TheTokenThenTheLikeliest) {
  const std::vector<float> logits = Logs({0.1, 0.4, 0.2, 0.2, 0.1});
  const auto ln = [](double p) { return static_cast<float>(std::log(p)); };
  // Two tokens are equally likely, and both count in the rank.
  ExpectLogprobs(TopLogprobs(logits, 2, 0), {{2, ln(0.2), 3}});
  ExpectLogprobs(TopLogprobs(logits, 0, 3),
                 {{0, ln(0.1), 5}, {1, ln(0.4), 1}, {2, ln(0.2), 2}, {3, ln(0.2), 3}});
  const PositionLogprobs all = {{1, ln(0.4), 1}, {1, ln(0.4), 1}, {2, ln(0.2), 2},
                                {3, ln(0.2), 3}, {0, ln(0.1), 4}, {4, ln(0.1), 5}};
  ExpectLogprobs(TopLogprobs(logits, 1, -1), all);
  ExpectLogprobs(TopLogprobs(logits, 1, 5), all);
  ExpectLogprobs(TopLogprobs(logits, 1, 99), all);
}

TEST(TopLogprobsTest, MinusInfinityComesLast) {
  const float half = static_cast<float>(std::log(0.5));
  const std::vector<float> logits = {-kInfinity, 7, NAN, 7};
  ExpectLogprobs(
      TopLogprobs(logits, 0, -1),
      {{0, -kInfinity, 3}, {1, half, 1}, {3, half, 2}, {0, -kInfinity, 3}, {2, -kInfinity, 4}});
  ExpectLogprobs(TopLogprobs(logits, 2, 1), {{2, -kInfinity, 3}, {1, half, 1}});
}

// Compares with a full sort. Many logits are equal.
TEST(TopLogprobsTest, IsTheHeadOfASort) {
  std::mt19937 random(3);
  std::vector<float> logits(4000);
  for (float& logit : logits) logit = static_cast<float>(random() % 500) / 50;
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  std::ranges::sort(order,
                    [&](int32_t a, int32_t b) { return at(a) != at(b) ? at(a) > at(b) : a < b; });
  for (const int64_t k : {1, 5, 20, 64, 65, 300, 3999, 4000}) {
    const int32_t token = order[static_cast<size_t>(k) / 2];
    const PositionLogprobs top = TopLogprobs(logits, token, k);
    ASSERT_EQ(std::ssize(top), k + 1);
    EXPECT_EQ(top[0].id, token);
    EXPECT_EQ(top[0].rank,
              std::ranges::count_if(logits, [&](float logit) { return logit >= at(token); }));
    for (size_t i = 1; i < top.size(); ++i) {
      EXPECT_EQ(top[i].id, order[i - 1]);
      EXPECT_EQ(top[i].rank, static_cast<int32_t>(i));
      EXPECT_EQ(top[i].logprob, static_cast<float>(LogProb(logits, top[i].id)));
    }
  }
}

TEST(LogProbTest, IsTheLogOfTheSoftmax) {
  EXPECT_NEAR(LogProb(Logs({0.5, 0.25, 0.25}), 1), std::log(0.25), 1e-7);
  EXPECT_NEAR(LogProb(std::vector<float>{1000, 1000}, 0), -std::log(2), 1e-12);
  EXPECT_EQ(LogProb(std::vector<float>{0, -kInfinity}, 1),
            -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace merope

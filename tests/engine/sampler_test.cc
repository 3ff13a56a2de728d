#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>

#include "tests/engine/logits.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

using Ids = std::vector<int32_t>;

Sampler Make(SamplingParams params, size_t vocab_size, SamplerContext context = {}) {
  context.vocab_size = static_cast<int64_t>(vocab_size);
  const Status settled = Settle(&params, {.vocab_size = context.vocab_size});
  CHECK(settled.has_value(), "{}", settled.error().message);
  return {std::make_shared<const SamplingParams>(params), 0, std::move(context)};
}

// Returns the tokens of n draws, and how often each token was drawn.
std::map<int32_t, int> Draw(const SamplingParams& params, const std::vector<float>& logits, int n) {
  Sampler sampler = Make(params, logits.size());
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.Sample(logits)];
  return counts;
}

// Returns the tokens of a greedy sampler that gets the same row n times.
std::vector<int32_t> Greedy(SamplingParams params, const std::vector<float>& logits, int n,
                            SamplerContext context = {}) {
  params.temperature = 0;
  Sampler sampler = Make(params, logits.size(), std::move(context));
  std::vector<int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(sampler.Sample(logits));
  return tokens;
}

std::set<int32_t> Keys(const std::map<int32_t, int>& counts) {
  std::set<int32_t> keys;
  for (const auto& [key, count] : counts) keys.insert(key);
  return keys;
}

SamplingParams At(double temperature) { return {.temperature = temperature, .seed = 1}; }

TEST(SamplerTest, GreedyTakesTheSmallestIdOfEquals) {
  const auto one = [](const std::vector<float>& logits) { return Greedy({}, logits, 1); };
  EXPECT_EQ(one({1, 3, 3, 2}), Ids{1});
  EXPECT_EQ(one({-kInfinity, -5, -kInfinity}), Ids{1});
  EXPECT_EQ(one({NAN, -5, NAN, -4}), Ids{3});
  EXPECT_EQ(one({-0.0f, 0.0f}), Ids{0});
  EXPECT_EQ(one({-kInfinity, -kInfinity}), Ids{0});
  EXPECT_EQ(one({NAN, NAN}), Ids{0});
  EXPECT_EQ(one({1, kInfinity, kInfinity}), Ids{1});
}

// Puts the greatest logit at many places, with an equal logit at the end of the row. Most row
// lengths are not multiples of a vector's length.
TEST(SamplerTest, GreedyFindsItAnywhere) {
  for (const size_t n : {1u, 15u, 17u, 1023u, 1025u, 3000u}) {
    std::vector<float> logits(n, -3);
    for (size_t i = 0; i < n; i += 1 + n / 100) {
      logits[i] = logits[n - 1] = 4;
      EXPECT_EQ(Greedy({}, logits, 1), Ids{static_cast<int32_t>(i)}) << n;
      logits[i] = logits[n - 1] = -3;
    }
  }
}

TEST(SamplerTest, SameSeedSameTokens) {
  const std::vector<float> logits(1000, 0.0f);
  const SamplerContext context{.vocab_size = 1000};
  const auto make = [&](const SamplingParams& params, int64_t index) {
    return Sampler(std::make_shared<const SamplingParams>(params), index, context);
  };
  Sampler a = make({.seed = 42}, 0), b = make({.seed = 42}, 0), c = make({.seed = 43}, 0),
          second = make({.seed = 42}, 1), systems = make({}, 0), others = make({}, 0);
  int equal = 0, by_chance = 0;
  for (int i = 0; i < 200; ++i) {
    const int32_t token = a.Sample(logits);
    EXPECT_EQ(token, b.Sample(logits));
    const int32_t other = c.Sample(logits);
    EXPECT_EQ(other, second.Sample(logits));
    equal += token == other;
    by_chance += systems.Sample(logits) == others.Sample(logits);
  }
  EXPECT_LT(equal, 10);
  EXPECT_LT(by_chance, 10);
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
  // Of equally likely tokens, the smaller ids are kept.
  SamplingParams params = At(1);
  params.top_p = 0.5;
  EXPECT_EQ(Keys(Draw(params, {0, 0, 0, 0}, 1000)), (std::set<int32_t>{0, 1}));
}

// The tokens must be those that a full sort gives. More than a thousand candidates are needed.
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
  double below_zero = 0;  // share of the allowed tokens' probability
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

// top_p applies to the tokens that min_p and top_k left.
TEST(SamplerTest, CutsComposeInOrder) {
  const std::vector<float> logits = Logs({0.4, 0.3, 0.2, 0.06, 0.04});
  SamplingParams params = At(1);
  params.top_k = 2;
  params.top_p = 0.55;  // of 4/7 and 3/7
  EXPECT_EQ(Keys(Draw(params, logits, 500)), (std::set<int32_t>{0}));
  params.top_k = 0;
  EXPECT_EQ(Keys(Draw(params, logits, 500)), (std::set<int32_t>{0, 1}));
  params.min_p = 0.4;  // leaves 4/9, 3/9, 2/9
  params.top_p = 0.77;
  EXPECT_EQ(Keys(Draw(params, logits, 500)), (std::set<int32_t>{0, 1}));
  params.top_p = 0.79;
  EXPECT_EQ(Keys(Draw(params, logits, 500)), (std::set<int32_t>{0, 1, 2}));
}

// There are more equal logits than the list of the most likely tokens holds.
TEST(SamplerTest, TopKOfManyEquals) {
  SamplingParams params = At(1);
  params.top_k = 100;
  const std::set<int32_t> keys = Keys(Draw(params, std::vector<float>(1000, 1), 4000));
  EXPECT_EQ(keys.size(), 100u);  // almost surely: 100 · 0.99^4000 < 1e-15
  EXPECT_EQ(*keys.rbegin(), 99);
}

TEST(SamplerTest, AllowedTokensAndMask) {
  SamplingParams params;
  params.allowed_token_ids = {{1, 40, 63}};
  std::vector<float> logits(70, 0);
  logits[50] = 9;
  logits[40] = 5;
  EXPECT_EQ(Greedy(params, logits, 1), Ids{40});
  params.temperature = 1000;
  EXPECT_EQ(Keys(Draw(params, logits, 500)), (std::set<int32_t>{1, 40, 63}));
  params.temperature = 0;
  Sampler masked = Make(params, 70);
  std::vector<uint32_t> mask = {~0u, 0x80000000u, ~0u};  // 0 to 31, 63 to 69
  EXPECT_EQ(masked.Sample(logits, mask), 1);
  logits[69] = 20;
  logits[63] = 0.5;
  EXPECT_EQ(masked.Sample(logits, mask), 63);
  EXPECT_EQ(Make({.temperature = 0}, 70).Sample(logits, mask), 69);
}

TEST(SamplerTest, FallbackToken) {
  const std::vector<int32_t> eos = {3, 2};
  const auto sample = [&](std::optional<Ids> allowed, const std::vector<float>& logits,
                          std::vector<uint32_t> mask, SamplerContext context = {},
                          double temperature = 0) {
    SamplingParams params = At(temperature);
    params.allowed_token_ids = std::move(allowed);
    return Make(params, logits.size(), std::move(context)).Sample(logits, mask);
  };
  for (const double temperature : {0.0, 1.0}) {
    // The only allowed token is a bad word.
    EXPECT_EQ(sample(Ids{1}, {5, 4, 3, 2}, {}, {.bad_words = {{1}}}, temperature), 1);
    // allowed_token_ids and the mask have no token in common. The mask decides.
    EXPECT_EQ(sample(Ids{1}, {5, 4, 3, 2}, {0b1100}, {}, temperature), 2);
    // The mask allows no token.
    EXPECT_EQ(sample({}, {5, 4, 3, 2}, {0}, {.eos_token_ids = eos}, temperature), 3);
    EXPECT_EQ(sample({}, {5, 4, 3, 2}, {0}, {}, temperature), 0);
    // The allowed tokens have logits of −∞ or NaN.
    EXPECT_EQ(sample({}, {5, -kInfinity, -kInfinity, 2}, {0b0110}, {}, temperature), 1);
    EXPECT_EQ(sample(Ids{0, 1}, {NAN, -kInfinity, 1, 2}, {}, {}, temperature), 0);
  }
}

TEST(SamplerTest, BadWordsAreNotFinished) {
  // Token 3 is the most likely, then 2, then 1. The word {3} is bad.
  EXPECT_EQ(Greedy({}, {0, 1, 2, 3}, 2, {.bad_words = {{3}}}), (Ids{2, 2}));
  // Token 3 must not follow 3, and must not follow 3 2. The prompt does not count.
  const Ids prompt = {3, 2};
  EXPECT_EQ(Greedy({}, {0, 1, 2, 3}, 6, {.prompt = prompt, .bad_words = {{3, 3}, {3, 2, 3}}}),
            (Ids{3, 2, 2, 3, 2, 2}));
  EXPECT_EQ(Greedy({}, {0, 1, 2, 3}, 2, {.bad_words = {{0, 1, 2, 3, 3}}}), (Ids{3, 3}));
}

TEST(SamplerTest, NoEndBeforeMinTokens) {
  const Ids eos = {4, 100};  // the vocabulary does not have 100
  SamplingParams params;
  params.min_tokens = 2;
  params.stop_token_ids = {3};
  params.ignore_eos = true;  // changes nothing here, as in vLLM
  EXPECT_EQ(Greedy(params, {0, 1, 2, 3, 4}, 4, {.eos_token_ids = eos}), (Ids{2, 2, 4, 4}));
  params.stop_token_ids = {};
  EXPECT_EQ(Greedy(params, {0, 1, 2, 3, 4}, 3, {.eos_token_ids = eos}), (Ids{3, 3, 4}));
  EXPECT_EQ(Greedy(params, {0, 1, 2, 3, 4}, 3), (Ids{4, 4, 4}));
}

TEST(SamplerTest, LogitBiasIsAdded) {
  SamplingParams params;
  params.logit_bias = {{0, 2.5}, {2, -100}};
  EXPECT_EQ(Greedy(params, {0, 2, 3}, 1), Ids{0});
  params.logit_bias = {{0, 1.5}, {2, -100}};
  EXPECT_EQ(Greedy(params, {0, 2, 3}, 1), Ids{1});
}

TEST(SamplerTest, PenaltiesCountWhatTheySay) {
  SamplingParams presence;
  presence.presence_penalty = 1;
  // The presence penalty counts a token once, however often the token was generated. The prompt
  // does not count.
  const Ids prompt = {1};
  EXPECT_EQ(Greedy(presence, {0.0f, 1.5f, 0.9f}, 4, {.prompt = prompt}), (Ids{1, 2, 1, 1}));
  SamplingParams frequency;
  frequency.frequency_penalty = 1;
  EXPECT_EQ(Greedy(frequency, {0.0f, 2.5f, 0.9f}, 6, {.prompt = prompt}),
            (Ids{1, 1, 2, 1, 0, 2}));  // the greatest logits: 2.5, 1.5, 0.9, 0.5, 0, −0.1
  SamplingParams repetition;
  repetition.repetition_penalty = 2;
  // The repetition penalty counts the prompt, and multiplies a logit below 0.
  EXPECT_EQ(Greedy(repetition, {0.7f, 1.5f, 0.9f}, 4, {.prompt = prompt}), (Ids{2, 1, 1, 1}));
  EXPECT_EQ(Greedy(repetition, {-3, -1, -1.5}, 3, {.prompt = prompt}), (Ids{2, 1, 1}));
}

// logit_bias comes before the penalties: 1 − 2 = −1 is doubled to −2. In the other order, 1 / 2 − 2
// would be −1.5.
TEST(SamplerTest, BiasComesBeforePenalties) {
  SamplingParams params;
  params.repetition_penalty = 2;
  params.logit_bias = {{0, -2}};
  const Ids prompt = {0};
  EXPECT_EQ(Greedy(params, {1.0f, -1.75f}, 1, {.prompt = prompt}), Ids{1});
}

TEST(BadWordsTest, WithAndWithoutASpace) {
  const auto tokenizer = Tokenizer::FromJson(R"({"added_tokens": [], "pre_tokenizer":
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
      "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE",
      "vocab": {"a": 0, "b": 1, "Ġ": 2, "Ġa": 3, "ab": 4}, "merges": ["Ġ a", "a b"]}})",
                                             "t.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto encode = [&](const std::vector<std::string>& words, int64_t vocab_size = 5) {
    return EncodeBadWords(*tokenizer, words, vocab_size);
  };
  using Words = std::vector<Ids>;
  EXPECT_EQ(*encode({"a"}), (Words{{0}, {3}}));
  EXPECT_EQ(*encode({"  \u00a0a"}), (Words{{0}, {3}}));     // spaces before a word do not count
  EXPECT_EQ(*encode({"b"}), (Words{{1}}));                  // " b" has more tokens
  EXPECT_EQ(*encode({"ab", "a"}), (Words{{4}, {0}, {3}}));  // " ab" is "Ġa" "b": more tokens
  EXPECT_EQ(*encode({"ba"}), (Words{{1, 0}}));
  EXPECT_EQ(*encode({}), Words());
  EXPECT_TRUE(Contains(ErrorOf(encode({"a", " "})), "bad_words: expected words that have tokens"));
  EXPECT_TRUE(Contains(ErrorOf(encode({"\xff"})), "bad_words: "));
  EXPECT_TRUE(Contains(ErrorOf(encode({"ab"}, 4)), "from 0 to 3, found token 4"));
}

}  // namespace
}  // namespace merope

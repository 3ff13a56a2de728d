// The audit of tokens, on small random models: an honest target, and targets with a fault.
#include "verify/token_audit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"
#include "verify/free_run.h"

namespace merope {
namespace {

class TokenAuditTest : public ::testing::Test {
 protected:
  TokenAuditTest() : checkpoint_(Model("model", 1)) {}

  Checkpoint Model(const char* name, uint64_t seed) {
    ModelConfig config = LlamaConfig({.hidden = 64, .head_dim = 16, .vocabulary = 384});
    config.tie_word_embeddings = true;
    const SynthOptions options{.seed = seed, .dtype = DType::kF32, .std_dev = 0.15};
    const Status made = Synthesize(directory_.File(name), config, options);
    EXPECT_TRUE(made) << ErrorOf(made);
    Result<Checkpoint> checkpoint = Checkpoint::Open(directory_.File(name));
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message;
    return std::move(*checkpoint);
  }

  TargetTexts Texts(const Checkpoint& checkpoint, double temperature = 1,
                    VerifyMode mode = VerifyMode::kDefault) {
    const auto tokenizer = checkpoint.LoadTokenizer();
    const auto texts =
        GenerateTexts(checkpoint, *tokenizer, {.threads = 2, .temperature = temperature}, mode, {},
                      [](int64_t, int64_t) {});
    EXPECT_TRUE(texts) << ErrorOf(texts);
    return texts ? *texts : TargetTexts();
  }

  TokensResult Judged(const TargetTexts& texts) {
    const auto result = AuditTokens(checkpoint_, "target", texts, {.threads = 2});
    EXPECT_TRUE(result) << ErrorOf(result);
    return result ? *result : TokensResult();
  }

  static Verdict Of(const TokensResult& result, std::string_view key) {
    const auto gate = std::ranges::find(result.gates, key, &GateResult::key);
    EXPECT_NE(gate, result.gates.end()) << key;
    return gate == result.gates.end() ? Verdict::kFail : gate->verdict;
  }

  TempDir directory_;
  Checkpoint checkpoint_;
};

TEST_F(TokenAuditTest, AnHonestTargetDoesNotFail) {
  const TokensResult result = Judged(Texts(checkpoint_));
  EXPECT_NE(result.verdict, Verdict::kFail) << DumpJson(ToJson(result));
  EXPECT_EQ(result.greedy_texts, 25);
  EXPECT_EQ(result.greedy_tokens, 25 * 64 - 1);  // one text ends at the context
  EXPECT_EQ(result.sampled_tokens, 25 * 64 - 1);
  EXPECT_GT(result.flips, 0);
  EXPECT_GT(result.mean_margin, 0);
  EXPECT_GT(result.tokens_for_power, 0);
  EXPECT_EQ(result.tests.size(), 3u);
  EXPECT_EQ(result.gates.size(), 6u);
}

TEST_F(TokenAuditTest, TheSameTextsInTheSameArithmeticHaveTheFormatsOwnMargin) {
  // The emulation differs from the CPU back end by the order of its sums, so nearly all of its
  // flips are the target's.
  const TokensResult result = Judged(Texts(checkpoint_));
  EXPECT_NEAR(result.mean_margin, result.emulated_margin, 0.1 * result.emulated_margin);
  EXPECT_NEAR(static_cast<double>(result.flips), result.expected_flips,
              4 * std::sqrt(result.expected_flips));
}

TEST_F(TokenAuditTest, AnotherTemperatureShowsInAsManyTokensAsSaid) {
  const TokensResult honest = Judged(Texts(checkpoint_));
  const auto needed = [&](double temperature) {
    return std::ranges::find(honest.power, temperature, &TemperaturePower::temperature)->tokens;
  };
  // Closer temperatures take more tokens.
  EXPECT_LT(needed(0.8), needed(0.9));
  EXPECT_LT(needed(0.9), needed(0.95));
  EXPECT_LT(needed(1.25), needed(1.1));
  for (const double temperature : {0.8, 1.25}) {
    TargetTexts texts = Texts(checkpoint_, temperature);
    texts.greedy.clear();
    ASSERT_LT(needed(temperature), 25 * 64);
    const TokensResult result = Judged(texts);
    EXPECT_EQ(result.verdict, Verdict::kFail) << temperature;
    EXPECT_EQ(Of(result, "pit_mean"), Verdict::kFail) << temperature;
  }
  // Greedy tokens in place of samples.
  TargetTexts texts = Texts(checkpoint_, 0);
  const TokensResult result = Judged({.greedy = {}, .sampled = texts.sampled});
  for (const char* test : {"pit_uniform", "pit_mean", "ranks"})
    EXPECT_EQ(Of(result, test), Verdict::kFail) << test;
}

TEST_F(TokenAuditTest, AnotherModelsTokensFail) {
  const Checkpoint other = Model("other", 2);
  const TokensResult result = Judged(Texts(other, 1, VerifyMode::kQuick));
  EXPECT_EQ(Of(result, "unexplained_flips"), Verdict::kFail);
  EXPECT_EQ(Of(result, "flips"), Verdict::kFail);
  EXPECT_EQ(Of(result, "margin_ratio"), Verdict::kFail);
  EXPECT_EQ(Of(result, "ranks"), Verdict::kFail);
}

TEST_F(TokenAuditTest, ATokenThatTheTargetCouldNotChooseIsNoFault) {
  const TargetTexts honest = Texts(checkpoint_);
  const int32_t forbidden = honest.greedy[0].ids.back();
  const auto target =
      LoadLogitSource(checkpoint_, kCpuBackend, Precision::kBf16, KvStorage::kAuto, 2, 320);
  ASSERT_TRUE(target) << ErrorOf(target);
  TargetTexts texts;
  for (const VerifyPrompt& text : honest.greedy) {
    VerifyPrompt& other = texts.greedy.emplace_back(text);
    other.ids.resize(static_cast<size_t>(text.asked()));
    ASSERT_TRUE(ContinueText(
        **target, 384, std::ssize(text.ids),
        [&](std::span<const float> row) {
          std::vector<float> allowed(row.begin(), row.end());
          allowed[static_cast<size_t>(forbidden)] = -1e30f;
          return GreedyToken(allowed);
        },
        &other));
  }
  EXPECT_EQ(Of(Judged(texts), "unexplained_flips"), Verdict::kFail);
  texts.forbidden = {forbidden};
  const TokensResult result = Judged(texts);
  EXPECT_EQ(Of(result, "unexplained_flips"), Verdict::kPass);
  EXPECT_NE(result.verdict, Verdict::kFail);
}

TEST_F(TokenAuditTest, NoTokenIsAnError) {
  EXPECT_FALSE(AuditTokens(checkpoint_, "target", {}, {.threads = 2}));
  TargetTexts texts;
  texts.greedy.push_back({.id = "p", .ids = {1, 2, 400}, .generated = 1});
  EXPECT_FALSE(AuditTokens(checkpoint_, "target", texts, {.threads = 2}));
}

}  // namespace
}  // namespace merope

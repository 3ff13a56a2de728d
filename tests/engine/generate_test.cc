#include "engine/generate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/synth.h"
#include "engine/load.h"
#include "engine/sampler.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

constexpr int64_t kContext = 200;

ModelConfig TinyConfig() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = 48;
  config.intermediate_size = 96;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 12;
  config.vocab_size = 400;
  config.max_position_embeddings = kContext;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.eos_token_ids = {2};
  config.dtype = DType::kF32;
  return config;
}

class GenerateTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TempDir;
    const Status written =
        Synthesize(directory_->path(), TinyConfig(),
                   {.seed = 11, .dtype = DType::kF32, .std_dev = 0.3, .force = true});
    ASSERT_TRUE(written) << written.error().message;
    loaded_ = new LoadedModel(Load({}));
  }
  static void TearDownTestSuite() {
    delete loaded_;
    delete directory_;
  }

  static LoadedModel Load(const LlamaOptions& llama) {
    auto loaded = LoadModel({directory_->path(), {.threads = 2, .llama = llama}});
    CHECK(loaded.has_value(), "{}", loaded.error().message);
    return std::move(*loaded);
  }

  static std::vector<int32_t> Prompt(int64_t n) {
    std::vector<int32_t> prompt;
    for (int64_t i = 0; i < n; ++i) prompt.push_back(static_cast<int32_t>(30 + i * 7 % 200));
    return prompt;
  }

  static GenerateResult Run(const GenerateOptions& options, int64_t prompt = 9) {
    auto result = Generate(loaded_->model(), loaded_->tokenizer, Prompt(prompt), options);
    CHECK(result.has_value(), "{}", result.error().message);
    return std::move(*result);
  }

  static std::string Refusal(const GenerateOptions& options, int64_t prompt = 9) {
    const auto result = Generate(loaded_->model(), loaded_->tokenizer, Prompt(prompt), options);
    return result ? "" : result.error().message;
  }

  static inline TempDir* directory_ = nullptr;
  static inline LoadedModel* loaded_ = nullptr;
};

// Every token is the likeliest one of the model's own logits over all before it.
TEST_F(GenerateTest, GreedyFollowsTheModel) {
  const GenerateResult result = Run({.max_tokens = 20, .ignore_eos = true});
  ASSERT_EQ(result.ids.size(), 20u);
  EXPECT_EQ(result.finish_reason, FinishReason::kLength);
  EXPECT_EQ(result.prompt_tokens, 9);
  std::vector<int32_t> tokens = Prompt(9);
  tokens.insert(tokens.end(), result.ids.begin(), result.ids.end());
  Sequence sequence(loaded_->model().kv());
  size_t checked = 0;
  const Status status = loaded_->model().Extend(
      &sequence, tokens, 21, [&](int64_t position, std::span<const float> logits) {
        const auto i = static_cast<size_t>(position - 8);
        if (i >= result.ids.size()) return;
        const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
        EXPECT_EQ(result.ids[i], best);
        EXPECT_FLOAT_EQ(result.logprobs[i], static_cast<float>(LogProb(logits, result.ids[i])));
        ++checked;
      });
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(checked, 20u);
}

TEST_F(GenerateTest, SeededSamplingRepeatsAtAnyThreadCountAndChunk) {
  const GenerateOptions options{.sampling = {.temperature = 1, .top_p = 0.9, .seed = 5},
                                .max_tokens = 30,
                                .ignore_eos = true};
  const GenerateResult first = Run(options, 70), second = Run(options, 70);
  EXPECT_EQ(first.ids, second.ids);
  EXPECT_EQ(first.logprobs, second.logprobs);
  const LoadedModel other = Load({.max_batch_tokens = 16});
  const auto third = Generate(other.model(), other.tokenizer, Prompt(70), options);
  ASSERT_TRUE(third);
  EXPECT_EQ(first.ids, third->ids);
  EXPECT_EQ(first.logprobs, third->logprobs);
  GenerateOptions reseeded = options;
  reseeded.sampling.seed = 6;
  EXPECT_NE(Run(reseeded, 70).ids, first.ids);
}

TEST_F(GenerateTest, TextIsTheStreamedPieces) {
  std::string streamed;
  const auto result =
      Generate(loaded_->model(), loaded_->tokenizer, Prompt(9),
               {.sampling = {.temperature = 2, .seed = 1}, .max_tokens = 60, .ignore_eos = true},
               [&](std::string_view piece) {
                 streamed += piece;
                 return true;
               });
  ASSERT_TRUE(result);
  EXPECT_FALSE(streamed.empty());
  EXPECT_EQ(streamed, result->text);
  EXPECT_EQ(result->token_times.size(), result->ids.size());
  EXPECT_TRUE(std::is_sorted(result->token_times.begin(), result->token_times.end()));
}

TEST_F(GenerateTest, EosEndsTheTextAndIsOneOfTheIds) {
  // Sampled hot, so that id 2 comes by.
  GenerateOptions options{.sampling = {.temperature = 100}, .max_tokens = -1};
  bool seen = false;
  for (int64_t seed = 0; seed < 50 && !seen; ++seed) {
    options.sampling.seed = seed;
    const GenerateResult result = Run(options);
    const auto eos = std::ranges::find(result.ids, 2);
    if (result.finish_reason == FinishReason::kLength) {
      EXPECT_EQ(eos, result.ids.end());
      continue;
    }
    seen = true;
    EXPECT_EQ(result.finish_reason, FinishReason::kStop);
    EXPECT_EQ(result.stop_reason, "");
    EXPECT_EQ(eos, result.ids.end() - 1);
    options.ignore_eos = true;
    const GenerateResult longer = Run(options);
    EXPECT_GT(longer.ids.size(), result.ids.size());
    EXPECT_TRUE(std::equal(result.ids.begin(), result.ids.end(), longer.ids.begin()));
  }
  EXPECT_TRUE(seen);
}

TEST_F(GenerateTest, StopStringEndsTheText) {
  GenerateOptions options{
      .sampling = {.temperature = 1, .seed = 3}, .max_tokens = 100, .ignore_eos = true};
  const GenerateResult whole = Run(options);
  ASSERT_GT(whole.text.size(), 20u);
  const std::string stop = whole.text.substr(10, 4);
  options.stop = {"not in the text, surely", stop};
  const GenerateResult result = Run(options);
  EXPECT_EQ(result.text, whole.text.substr(0, whole.text.find(stop)));
  EXPECT_EQ(result.finish_reason, FinishReason::kStop);
  EXPECT_EQ(result.stop_reason, stop);
  EXPECT_LT(result.ids.size(), whole.ids.size());
}

TEST_F(GenerateTest, LengthIsBoundedByTheContext) {
  const GenerateResult result = Run({.max_tokens = -1, .ignore_eos = true}, kContext - 5);
  EXPECT_EQ(result.ids.size(), 5u);
  EXPECT_EQ(result.finish_reason, FinishReason::kLength);
  EXPECT_EQ(Run({.max_tokens = 1000, .ignore_eos = true}, kContext - 1).ids.size(), 1u);
}

TEST_F(GenerateTest, CancellingEndsIt) {
  const std::atomic<bool> cancelled = true;
  const GenerateResult none = Run({.cancelled = &cancelled});
  EXPECT_TRUE(none.ids.empty());
  EXPECT_EQ(none.finish_reason, FinishReason::kAbort);
  const auto refused =
      Generate(loaded_->model(), loaded_->tokenizer, Prompt(9),
               {.max_tokens = 100, .ignore_eos = true}, [](std::string_view) { return false; });
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->finish_reason, FinishReason::kAbort);
  EXPECT_LT(refused->ids.size(), 100u);
  // What was held is given back.
  EXPECT_EQ(loaded_->model().kv().free_pages(), (kContext + kPageTokens - 1) / kPageTokens);
}

TEST_F(GenerateTest, WhatCannotBeIsRefused) {
  const std::string too_long = Refusal({}, kContext);
  EXPECT_NE(too_long.find("200 tokens"), std::string::npos) << too_long;
  EXPECT_NE(too_long.find("199"), std::string::npos) << too_long;
  EXPECT_NE(Refusal({}, 0).find("at least one token"), std::string::npos);
  EXPECT_NE(Refusal({.stop = {""}}).find("stop"), std::string::npos);
  EXPECT_NE(Refusal({.max_tokens = 0}).find("max_tokens"), std::string::npos);
  EXPECT_NE(Refusal({.sampling = {.top_p = 0}}).find("top_p"), std::string::npos);
}

TEST_F(GenerateTest, ThePrefixIsNotDoubled) {
  const Tokenizer& tokenizer = loaded_->tokenizer;
  const std::vector<int32_t> prefix = tokenizer.PrefixIds();
  ASSERT_FALSE(prefix.empty());
  const auto plain = tokenizer.Encode("ab"), prompt = EncodePrompt(tokenizer, "ab");
  ASSERT_TRUE(plain && prompt);
  EXPECT_EQ(prompt->size(), plain->size() + prefix.size());
  std::string text;
  for (const int32_t id : prefix) text += tokenizer.IdToToken(id);
  EXPECT_EQ(*EncodePrompt(tokenizer, text + "ab"), *prompt);
  EXPECT_EQ(*EncodePrompt(tokenizer, "ab", false), *plain);
}

}  // namespace
}  // namespace merope

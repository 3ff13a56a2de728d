#include "model/llama.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "backend/registry.h"
#include "tests/model/llama_fixture.h"

namespace merope {
namespace {

TEST_P(LlamaTest, ChunksAndDecodeGiveTheBitsOfOnePrefill) {
  const Engine engine = Load(2);
  const auto tokens = RandomTokens(200, 1);
  const auto whole = AllLogits(*engine.model, tokens, 1000);
  ASSERT_EQ(whole.size(), 200u * 301u);
  for (const int64_t chunk : {1, 7, 64})
    EXPECT_EQ(whole, AllLogits(*engine.model, tokens, chunk)) << chunk;
}

TEST_P(LlamaTest, ALongContextKeepsTheBits) {
  const Engine engine = Load(2);
  const auto tokens = RandomTokens(1200, 2);  // longer than a chunk of attention's sums
  EXPECT_EQ(AllLogits(*engine.model, tokens, 1500), AllLogits(*engine.model, tokens, 97));
}

TEST_P(LlamaTest, ThreadsDoNotChangeABit) {
  const auto tokens = RandomTokens(150, 3);
  const auto one = AllLogits(*Load(1).model, tokens, 64);
  for (const int threads : {2, 3})
    EXPECT_EQ(one, AllLogits(*Load(threads).model, tokens, 64)) << threads;
}

// Covers steps that are split by panels (few rows) and steps that are split by rows (many rows).
TEST_P(LlamaTest, EagerAndCompiledGiveTheSameBits) {
  const auto tokens = RandomTokens(300, 4);
  for (const int threads : {1, 2, 3}) {
    const Engine eager = Load(threads, false, {.eager = true}), compiled = Load(threads);
    EXPECT_EQ(eager.model->plan(), nullptr);
    ASSERT_NE(compiled.model->plan(), nullptr);
    for (const int64_t chunk : {1, 13, 64, 300})
      EXPECT_EQ(AllLogits(*eager.model, tokens, chunk), AllLogits(*compiled.model, tokens, chunk))
          << threads << " threads, chunks of " << chunk;
  }
}

TEST_P(LlamaTest, PackedWeightsGiveTheBitsOfPlainOnes) {
  const auto tokens = RandomTokens(120, 5);
  const Engine plain = Load(2, false, {}, WeightStorage::kPlain);
  const Engine packed = Load(2, false, {}, WeightStorage::kPacked);
  EXPECT_FALSE(plain.backend->weights().packed);
  EXPECT_EQ(packed.backend->weights().packed, GetParam() == Precision::kBf16);
  for (const int64_t chunk : {1, 13, 120})
    EXPECT_EQ(AllLogits(*plain.model, tokens, chunk), AllLogits(*packed.model, tokens, chunk))
        << chunk;
}

TEST_P(LlamaTest, ThePlanHasFiveStepsALayer) {
  const Engine engine = Load(2);
  const Plan* plan = engine.model->plan();
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(plan->steps, 2 + 5 * 3);  // the embedding, the head, and three layers
  // With int8, there are more ops: two Hadamard transforms per layer, and two around the final
  // norm.
  const bool rotated = GetParam() == Precision::kInt8;
  EXPECT_EQ(plan->ops, rotated ? 6 + 14 * 3 : 4 + 12 * 3);
  EXPECT_EQ(Load(1, true).model->plan(), nullptr);  // the reference runs op by op
}

TEST_P(LlamaTest, ASequenceHasTheSameBitsAloneAndInABatchOfSeven) {
  const Engine engine = Load(2);
  Llama& model = *engine.model;
  std::vector<std::vector<int32_t>> prompts;
  for (uint64_t i = 0; i < 7; ++i)
    prompts.push_back(RandomTokens(static_cast<int64_t>(5 + 13 * i), 10 + i));
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<std::vector<float>> batched(7);
  // Two steps: first all tokens of each prompt except the last, in one batch; then the seven last
  // tokens, as seven decodes.
  for (const bool last : {false, true}) {
    std::vector<SequenceStep> steps;
    for (size_t i = 0; i < 7; ++i) {
      if (!last) sequences.push_back(std::make_unique<Sequence>(model.kv()));
      const std::span<const int32_t> tokens(prompts[i]);
      steps.push_back(
          {sequences[i].get(), last ? tokens.last(1) : tokens.first(tokens.size() - 1), 1});
    }
    std::vector<float> logits;
    const Status status = model.Forward(steps, &logits);
    ASSERT_TRUE(status) << status.error().message;
    for (size_t i = 0; i < 7; ++i)
      batched[i].insert(batched[i].end(), logits.begin() + static_cast<int64_t>(i * 301),
                        logits.begin() + static_cast<int64_t>((i + 1) * 301));
  }
  sequences.clear();
  for (size_t i = 0; i < 7; ++i) {
    const auto alone = AllLogits(model, prompts[i], 1000);
    EXPECT_EQ(batched[i], std::vector<float>(alone.end() - 2 * 301, alone.end()))
        << "sequence " << i;
  }
}

// A step may have more tokens than a sequence may have. A step has at most max_logit_rows rows of
// logits, for any number of tokens passed to Extend.
TEST_P(LlamaTest, TheBudgetsOfAStepAreThoseAskedFor) {
  const Engine small =
      Load(2, false,
           {.max_model_len = 40, .max_batch_tokens = 200, .max_logit_rows = 3, .kv_tokens = 256});
  Llama& model = *small.model;
  EXPECT_EQ(model.max_batch_tokens(), 200);
  EXPECT_EQ(model.max_logit_rows(), 3);
  const auto tokens = RandomTokens(40, 20);
  const auto expected = AllLogits(*Load(2).model, tokens, 1000);
  EXPECT_EQ(AllLogits(model, tokens, 1000), expected);
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<SequenceStep> steps;
  for (int i = 0; i < 3; ++i) {
    sequences.push_back(std::make_unique<Sequence>(model.kv()));
    steps.push_back({sequences.back().get(), tokens, 1});
  }
  std::vector<float> logits;
  const Status status = model.Forward(steps, &logits);  // 120 tokens
  ASSERT_TRUE(status) << status.error().message;
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_TRUE(std::equal(expected.end() - 301, expected.end(), logits.begin() + i * 301)) << i;
}

// A fork, and a sequence that begins with cached pages (one of them used in part), have the same
// bits as a sequence that computed all its tokens itself.
TEST_P(LlamaTest, SharedPagesGiveTheBitsOfOwnOnes) {
  const Engine engine = Load(2);
  Llama& model = *engine.model;
  const auto tokens = RandomTokens(150, 21);
  const auto expected = AllLogits(model, tokens, 1000);
  const auto rest_of = [&](Sequence* sequence) {
    std::vector<float> rest;
    const std::span<const int32_t> todo =
        std::span(tokens).subspan(static_cast<size_t>(sequence->length()));
    EXPECT_TRUE(
        model.Extend(sequence, todo, std::ssize(todo), [&](int64_t, std::span<const float> logits) {
          rest.insert(rest.end(), logits.begin(), logits.end());
        }));
    return rest;
  };
  const auto last = [&](int64_t n) {
    return std::vector<float>(expected.end() - n * 301, expected.end());
  };
  Sequence first(model.kv()), fork(model.kv()), third(model.kv());
  ASSERT_TRUE(model.Extend(&first, std::span(tokens).first(100), 0,
                           [](int64_t, std::span<const float>) {}));
  fork.Fork(first);
  const auto others = RandomTokens(30, 22);
  ASSERT_TRUE(model.Extend(&first, others, 0, [](int64_t, std::span<const float>) {}));
  EXPECT_EQ(rest_of(&fork), last(50));
  model.kv().Publish(&fork, tokens, "");
  EXPECT_EQ(model.kv().Adopt(&third, tokens, "", 127), 127);
  EXPECT_EQ(rest_of(&third), last(23));
}

TEST_P(LlamaTest, ATruncatedSequenceGoesOnAsIfNothingHadBeen) {
  const Engine engine = Load(2);
  Llama& model = *engine.model;
  const auto tokens = RandomTokens(100, 4), others = RandomTokens(60, 5);
  const auto expected = AllLogits(model, tokens, 1000);
  Sequence sequence(model.kv());
  const auto ignore = [](int64_t, std::span<const float>) {};
  ASSERT_TRUE(model.Extend(&sequence, std::span(tokens).first(70), 0, ignore));
  ASSERT_TRUE(model.Extend(&sequence, others, 0, ignore));
  sequence.Truncate(70);
  std::vector<float> rest;
  ASSERT_TRUE(model.Extend(&sequence, std::span(tokens).last(30), 30,
                           [&](int64_t, std::span<const float> logits) {
                             rest.insert(rest.end(), logits.begin(), logits.end());
                           }));
  EXPECT_EQ(rest, std::vector<float>(expected.end() - 30 * 301, expected.end()));
}

TEST_P(LlamaTest, TheFastBackEndAgreesWithTheReference) {
  const Engine fast = Load(2), reference = Load(2, true);
  const auto tokens = RandomTokens(90, 6);
  const auto a = AllLogits(*fast.model, tokens, 1000),
             b = AllLogits(*reference.model, tokens, 1000);
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    norm += std::pow(double{b[i]}, 2);
  }
  // fp32: some thousand roundings of 2^-24 add up at random. bf16: a few values in a thousand land
  // on the other side of a rounding boundary, and move by 2^-8. A wrong position, head or mask
  // gives an error of order one. Integers move by whole steps, a 127th of the largest value.
  const double limit = GetParam() == Precision::kFp32   ? 1e-5
                       : GetParam() == Precision::kBf16 ? 1e-2
                                                        : 0.1;
  EXPECT_LT(std::sqrt(difference / norm), limit);
}

TEST_P(LlamaTest, IntermediatesAreNamed) {
  const Engine engine = Load(1);
  std::set<std::string> names;
  engine.model->set_observer([&](std::string_view name, const Tensor& value) {
    EXPECT_EQ(value.rows, 5) << name;
    names.emplace(name);
  });
  AllLogits(*engine.model, RandomTokens(5, 7), 5);
  std::set<std::string> expected = {"embed_tokens", "norm", "lm_head"};
  for (int layer = 0; layer < 3; ++layer)
    for (const char* name :
         {"", ".input_layernorm", ".self_attn.q_proj", ".self_attn.k_proj", ".self_attn.v_proj",
          ".self_attn.q_rotated", ".self_attn.k_rotated", ".self_attn.attended",
          ".self_attn.o_proj", ".post_attention_layernorm", ".mlp.gate_proj", ".mlp.up_proj",
          ".mlp.act_fn", ".mlp.down_proj"})
      expected.insert(fmt::format("layers.{}{}", layer, name));
  EXPECT_EQ(names, expected);
}

TEST_P(LlamaTest, RefusesWhatDoesNotFitAndChangesNothing) {
  const Engine engine = Load(1, false, {.max_model_len = 200, .kv_tokens = 128});
  Llama& model = *engine.model;
  const auto ignore = [](int64_t, std::span<const float>) {};
  Sequence sequence(model.kv());
  std::vector<int32_t> tokens = RandomTokens(201, 8);
  Status status = model.Extend(&sequence, std::span(tokens).first(10), 0, ignore);
  ASSERT_TRUE(status);
  tokens[5] = 301;
  status = model.Extend(&sequence, std::span(tokens).first(10), 0, ignore);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("token 301"), std::string::npos);
  tokens[5] = 0;
  std::vector<float> logits;
  const SequenceStep too_long{&sequence, std::span(tokens).first(191), 0};
  status = model.Forward(std::span(&too_long, 1), &logits);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("at most 200"), std::string::npos);
  const SequenceStep no_pages{&sequence, std::span(tokens).first(150), 0};
  status = model.Forward(std::span(&no_pages, 1), &logits);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("KV cache"), std::string::npos);
  EXPECT_EQ(sequence.length(), 10);
  EXPECT_EQ(model.kv().free_pages(), 1);
  sequence.Clear();
  EXPECT_EQ(model.kv().free_pages(), 2);
}

INSTANTIATE_TEST_SUITE_P(Precisions, LlamaTest,
                         testing::Values(Precision::kFp32, Precision::kBf16, Precision::kInt8,
                                         Precision::kInt4),
                         [](const auto& suite_info) {
                           return std::string(PrecisionName(suite_info.param));
                         });

}  // namespace
}  // namespace merope

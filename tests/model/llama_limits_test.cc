// Tests the limits of a model, and the errors beyond these limits.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/model/llama_fixture.h"
#include "tests/support/says.h"

namespace merope {
namespace {

class LlamaLimits : public LlamaTest {};

// Calls that break the contract of Forward.
class LlamaDeathTest : public LlamaTest {};
TEST_P(LlamaDeathTest, StepsThatAreNoneOfOurs) {
  const Engine engine =
      Load(1, false, {.max_model_len = 40, .max_batch_tokens = 8, .max_logit_rows = 3});
  Llama& model = *engine.model;
  const auto tokens = RandomTokens(9, 30);
  const auto forward = [&](size_t n, int64_t n_logits) {
    Sequence sequence(model.kv());
    const SequenceStep step{&sequence, std::span(tokens).first(n), n_logits};
    std::vector<float> logits;
    const Status status = model.Forward(std::span(&step, 1), &logits);
    EXPECT_TRUE(status) << status.error().message;
    return std::ssize(logits);
  };
  EXPECT_EQ(forward(8, 3), 3 * 301);
  EXPECT_EQ(forward(1, 1), 301);
  EXPECT_EQ(forward(1, 0), 0);
  EXPECT_DEATH(forward(0, 0), Says{"n > 0"});
  EXPECT_DEATH(forward(2, 3), Says{"n_logits <= n"});
  EXPECT_DEATH(forward(2, -1), Says{"n_logits >= 0"});
  EXPECT_DEATH(forward(9, 0), Says{"9 tokens"});
  EXPECT_DEATH(forward(8, 4), Says{"4 rows of logits"});
  std::vector<float> logits;
  EXPECT_DEATH(static_cast<void>(model.Forward({}, &logits)), Says{"0 tokens"});
}

TEST_P(LlamaLimits, LengthsAtTheirBoundaries) {
  const auto error = [](const LlamaOptions& options) {
    const auto checkpoint = Checkpoint::Open(directory_->path());
    const auto backend = MakeCpuBackend({GetParam(), 1});
    const auto model = Llama::Load(*checkpoint, *backend, options);
    return model ? "no error" : model.error().message;
  };
  EXPECT_EQ(error({.max_model_len = 1500}), "no error");
  EXPECT_EQ(error({.max_model_len = 1}), "no error");
  for (const char* wrong : {"-1", "1501"})
    EXPECT_EQ(error({.max_model_len = std::atoi(wrong)}),
              std::string("max_model_len: expected 1 to 1500 (the checkpoint's "
                          "max_position_embeddings), found ") +
                  wrong);
  const Engine engine = Load(1, false, {.max_model_len = 65, .kv_tokens = 0});
  Llama& model = *engine.model;
  EXPECT_EQ(Load(1).model->max_model_len(), 1500);
  EXPECT_EQ(model.max_model_len(), 65);
  EXPECT_EQ(model.max_batch_tokens(), 512);
  EXPECT_EQ(model.max_logit_rows(), 128);
  EXPECT_EQ(model.kv().capacity_tokens(), 128);  // pages of 64
  EXPECT_GE(model.capture_seconds(), 0);
  EXPECT_EQ(model.step_weight_bytes() < model.weight_bytes(), true);  // the embedding is not read
  Sequence sequence(model.kv());
  const auto ignore = [](int64_t, std::span<const float>) {};
  const auto tokens = RandomTokens(66, 31);
  EXPECT_TRUE(model.Extend(&sequence, std::span(tokens).first(65), 1, ignore));
  EXPECT_EQ(model.Extend(&sequence, std::span(tokens).last(1), 1, ignore).error().message,
            "the sequence would have 66 tokens, expected at most 65 (max_model_len)");
  sequence.Clear();
  for (const int32_t token : {0, 300})
    EXPECT_TRUE(model.Extend(&sequence, std::span(&token, 1), 0, ignore));
  for (const int32_t token : {-1, 301})
    EXPECT_EQ(model.Extend(&sequence, std::span(&token, 1), 0, ignore).error().message,
              fmt::format("token {}: expected an id from 0 to 300", token));
}

// If no page is left for the second of two sequences, the first sequence returns the pages that it
// was given.
TEST_P(LlamaLimits, AStepWithoutPagesForAllChangesNone) {
  const Engine engine = Load(1, false, {.max_model_len = 200, .kv_tokens = 128});
  Llama& model = *engine.model;
  Sequence first(model.kv()), second(model.kv());
  const auto tokens = RandomTokens(130, 32);
  const SequenceStep steps[] = {{&first, std::span(tokens).first(64), 1},
                                {&second, std::span(tokens).first(65), 1}};
  std::vector<float> logits;
  EXPECT_FALSE(model.Forward(steps, &logits));
  EXPECT_EQ(model.kv().free_pages(), 2);
  EXPECT_EQ(first.length(), 0);
  EXPECT_TRUE(model.Forward(std::span(steps).first(1), &logits));
  EXPECT_EQ(model.kv().free_pages(), 1);
}

// Extend passes the right position of each row, for any ends of the chunks.
TEST_P(LlamaLimits, ExtendTellsThePositionOfEachRow) {
  const Engine engine =
      Load(1, false, {.max_model_len = 60, .max_batch_tokens = 10, .max_logit_rows = 4});
  const auto tokens = RandomTokens(31, 33);
  const auto all = AllLogits(*Load(1).model, tokens, 1000);
  for (const int64_t n_logits : {0, 1, 4, 5, 11, 31}) {
    Sequence sequence(engine.model->kv());
    int64_t next = 31 - n_logits;
    ASSERT_TRUE(engine.model->Extend(
        &sequence, tokens, n_logits, [&](int64_t position, std::span<const float> logits) {
          EXPECT_EQ(position, next);
          EXPECT_TRUE(std::equal(logits.begin(), logits.end(), all.begin() + position * 301));
          ++next;
        }));
    EXPECT_EQ(next, 31);
    EXPECT_EQ(sequence.length(), 31);
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, LlamaDeathTest, testing::Values(Precision::kFp32));
INSTANTIATE_TEST_SUITE_P(Precisions, LlamaLimits,
                         testing::Values(Precision::kFp32, Precision::kBf16, Precision::kInt8,
                                         Precision::kInt4),
                         [](const auto& suite_info) {
                           return std::string(PrecisionName(suite_info.param));
                         });

}  // namespace
}  // namespace merope

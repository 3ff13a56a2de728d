// Tests weight sources that change the weights of another source, on a whole model.
#include "checkpoint/weight_source.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

#include "backend/registry.h"
#include "model/rotation.h"
#include "tests/model/llama_fixture.h"

namespace merope {
namespace {

// Adds a multiple of another source's tensor, like a merged low-rank update.
class SumTensor : public WeightTensor {
 public:
  SumTensor(std::unique_ptr<const WeightTensor> a, std::unique_ptr<const WeightTensor> b,
            float factor)
      : WeightTensor(a->name, a->shape, DType::kF32),
        a_(std::move(a)),
        b_(std::move(b)),
        factor_(factor) {}
  std::span<const std::byte> Row(int64_t) const override { return {}; }
  void DecodeRow(int64_t row, std::span<float> out) const override {
    std::vector<float> more(out.size());
    a_->DecodeRow(row, out);
    b_->DecodeRow(row, more);
    for (size_t i = 0; i < out.size(); ++i) out[i] += factor_ * more[i];
  }

 private:
  std::unique_ptr<const WeightTensor> a_, b_;
  float factor_;
};

class SumWeights : public WeightSource {
 public:
  SumWeights(const WeightSource& a, const WeightSource& b, float factor)
      : a_(a), b_(b), factor_(factor) {}
  bool rotated() const override { return false; }
  Result<std::unique_ptr<const WeightTensor>> Open(const std::string& name,
                                                   std::span<const int64_t> shape) const override {
    TRY_ASSIGN(auto a, a_.Open(name, shape));
    if (!name.ends_with("q_proj.weight")) return a;
    TRY_ASSIGN(auto b, b_.Open(name, shape));
    return std::make_unique<const SumTensor>(std::move(a), std::move(b), factor_);
  }
  void Release(const std::string& name) const override { a_.Release(name); }

 private:
  const WeightSource &a_, &b_;
  float factor_;
};

// The logits after a few tokens.
std::vector<float> Logits(const ModelConfig& config, const WeightSource& weights,
                          Precision precision) {
  const auto backend = MakeCpuBackend({precision, 2});
  const auto model = Llama::Load(config, weights, *backend, {.kv_tokens = 64});
  EXPECT_TRUE(model) << model.error().message;
  std::vector<float> logits;
  Sequence sequence((*model)->kv());
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  const SequenceStep step{&sequence, tokens, 1};
  EXPECT_TRUE((*model)->Forward(std::span(&step, 1), &logits));
  return logits;
}

class WeightSourceTest : public testing::Test {
 protected:
  WeightSourceTest() {
    for (uint64_t seed : {7, 8}) {
      const std::string path = directory_.File(std::to_string(seed));
      const Status made =
          Synthesize(path, TinyConfig(), {.seed = seed, .dtype = DType::kF32, .std_dev = 0.2});
      CHECK(made, "{}", made.error().message);
      checkpoints_.push_back(*Checkpoint::Open(path));
    }
  }
  TempDir directory_;
  std::vector<Checkpoint> checkpoints_;
};

TEST_F(WeightSourceTest, ACheckpointsOwnAreThoseOfItsFiles) {
  const CheckpointWeights weights(checkpoints_[0]);
  const auto backend = MakeCpuBackend({Precision::kFp32, 2});
  const auto model = Llama::Load(checkpoints_[0], *backend, {.kv_tokens = 64});
  ASSERT_TRUE(model) << model.error().message;
  std::vector<float> logits;
  Sequence sequence((*model)->kv());
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5, 9, 2, 6};
  const SequenceStep step{&sequence, tokens, 1};
  ASSERT_TRUE((*model)->Forward(std::span(&step, 1), &logits));
  EXPECT_EQ(Logits(TinyConfig(), weights, Precision::kFp32), logits);
}

TEST_F(WeightSourceTest, DecoratorsCompose) {
  const CheckpointWeights a(checkpoints_[0]), b(checkpoints_[1]);
  const SumWeights none(a, b, 0), sum(a, b, 0.5f);
  const std::vector<float> plain = Logits(TinyConfig(), a, Precision::kFp32);
  EXPECT_EQ(Logits(TinyConfig(), none, Precision::kFp32), plain);
  const std::vector<float> summed = Logits(TinyConfig(), sum, Precision::kFp32);
  EXPECT_NE(summed, plain);
  // The sum with rotated weights is the same function in exact arithmetic. The fp32 logits differ
  // by a few roundings only. The sum moves the logits by far more.
  const RotatedWeights rotated(sum, TinyConfig().hidden_size);
  const std::vector<float> rotated_logits = Logits(TinyConfig(), rotated, Precision::kFp32);
  double error = 0, moved = 0, size = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    error += std::pow(rotated_logits[i] - summed[i], 2);
    moved += std::pow(plain[i] - summed[i], 2);
    size += std::pow(summed[i], 2);
  }
  EXPECT_LT(error, 1e-8 * size);
  EXPECT_GT(moved, 1e-4 * size);
}

}  // namespace
}  // namespace merope

// Tests where each tensor is loaded, and how its bytes are counted.
#include "model/llama_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>

#include "checkpoint/synth.h"
#include "tests/model/outcome.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

// Records what is loaded: for a matrix, the names of its parts.
class KeepingTarget : public WeightTarget {
 public:
  explicit KeepingTarget(Precision precision) : precision_(precision) {}
  Precision precision() const override { return precision_; }
  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking stacking,
      const std::function<void(const WeightTensor&)>& consumed) override {
    Matrix& matrix = matrices_.emplace_back();
    std::string names;
    for (const MatrixPart& part : parts) {
      names += (names.empty() ? "" : " ") + part.weight->name + (part.bias != nullptr ? "+b" : "");
      matrix.out_features += part.weight->rows();
      matrix.in_features = part.weight->cols();
      computed[part.weight->name] = part.weight->Row(0).empty();
      if (consumed) consumed(*part.weight);
    }
    matrix.bytes = 1000;
    loaded[&matrix] = names + (stacking == Stacking::kPaired ? " paired" : "");
    return &matrix;
  }
  Result<Tensor> LoadVector(const WeightTensor& vector) override {
    vectors.push_back(vector.name);
    return Tensor{.data = nullptr, .rows = 1, .cols = vector.elements(), .stride = 0};
  }

  std::map<const Matrix*, std::string> loaded;
  std::map<std::string, bool> computed;  // true: the rows are computed, not stored
  std::vector<std::string> vectors;

 private:
  Precision precision_;
  std::deque<Matrix> matrices_;
};

class LlamaWeightsTest : public testing::TestWithParam<std::tuple<Precision, bool>> {};

TEST_P(LlamaWeightsTest, EveryTensorGoesToItsPlaceAndIsCounted) {
  const auto [precision, biases] = GetParam();
  const TempDir directory;
  const ModelConfig config = OddConfig(biases);
  ASSERT_TRUE(Synthesize(directory.path(), config, {.seed = 1, .dtype = DType::kBF16}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  KeepingTarget target(precision);
  std::vector<int64_t> done;
  int64_t total = 0;
  const auto weights = LoadLlamaWeights(*checkpoint, target, [&](int64_t so_far, int64_t all) {
    done.push_back(so_far);
    total = all;
  });
  ASSERT_TRUE(weights) << ErrorOf(weights);

  const bool rotated = precision == Precision::kInt8;
  const auto part = [&](const std::string& name) {
    return "model.layers.1." + name + ".weight" + (biases ? "+b" : "");
  };
  const LlamaWeights::Layer& layer = weights->layers[1];
  EXPECT_EQ(weights->layers.size(), static_cast<size_t>(config.num_layers));
  EXPECT_EQ(target.loaded[weights->embed], "model.embed_tokens.weight");
  EXPECT_EQ(target.loaded[weights->head], biases ? "lm_head.weight" : "model.embed_tokens.weight");
  EXPECT_EQ(target.loaded[layer.qkv], part("self_attn.q_proj") + " " + part("self_attn.k_proj") +
                                          " " + part("self_attn.v_proj"));
  EXPECT_EQ(layer.qkv->out_features, 6 * 14 + 2 * 2 * 14);
  EXPECT_EQ(layer.qkv->in_features, 52);
  EXPECT_EQ(target.loaded[layer.o], part("self_attn.o_proj"));
  EXPECT_EQ(layer.o->in_features, 6 * 14);
  EXPECT_EQ(target.loaded[layer.gate_up],
            part("mlp.gate_proj") + " " + part("mlp.up_proj") + " paired");
  EXPECT_EQ(target.loaded[layer.down], part("mlp.down_proj"));
  EXPECT_EQ(layer.down->in_features, 100);
  EXPECT_EQ(weights->rotated, rotated);
  EXPECT_EQ(target.computed["model.embed_tokens.weight"], rotated);
  EXPECT_EQ(target.computed["model.layers.0.mlp.up_proj.weight"], rotated);
  EXPECT_FALSE(target.computed["model.layers.0.mlp.down_proj.weight"]);  // rotated as a whole

  // Matrices: four in each of two layers, the embedding, and a head if it is not tied. Vectors: the
  // final norm, the four norms of the layers, and the signs if the weights are rotated.
  const int64_t vectors = rotated ? 6 : 5;
  EXPECT_EQ(weights->bytes, (2 * 4 + (biases ? 2 : 1)) * 1000 + vectors * 52 * 4);
  EXPECT_EQ(weights->final_norm.cols, 52);
  EXPECT_EQ(std::ssize(target.vectors), vectors);

  // The progress counts each matrix and each norm of the file once, by its bytes. It does not count
  // biases.
  int64_t all = 0, counted = 0;
  for (const TensorView& tensor : checkpoint->tensors()) {
    const int64_t bytes = std::ssize(tensor.bytes);
    all += bytes;
    if (!tensor.name.ends_with(".bias")) counted += bytes;
  }
  EXPECT_EQ(total, all);
  EXPECT_EQ(done.front(), 97 * 52 * 2);  // the embedding
  EXPECT_EQ(done.back(), counted);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

INSTANTIATE_TEST_SUITE_P(Kinds, LlamaWeightsTest,
                         testing::Combine(testing::Values(Precision::kFp32, Precision::kInt8),
                                          testing::Bool()),
                         [](const auto& suite_info) {
                           return std::string(PrecisionName(std::get<0>(suite_info.param))) +
                                  (std::get<1>(suite_info.param) ? "_biases" : "_tied");
                         });

}  // namespace
}  // namespace merope

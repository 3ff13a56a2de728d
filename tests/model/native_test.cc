// A model from a quantized GGUF file runs on the integers that the file stores.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/outcome.h"
#include "tests/support/llama_config.h"
#include "tests/support/quantized_model.h"

namespace merope {
namespace {

ModelConfig Config() {
  return LlamaConfig({.hidden = 256,
                      .intermediate = 512,
                      .heads = 8,
                      .head_dim = 32,
                      .vocabulary = 301,
                      .context = 256});
}

// fp32 uses the same weights, dequantized exactly. int4 quantizes the weights once more; its
// activations have 8 bits, too.
void ExpectNearerToFp32ThanWeightsQuantizedAgain(const std::string& path) {
  const Outcome exact = RunModel(path, Precision::kFp32),
                stored = RunModel(path, Precision::kNative);
  const double error = RelativeL2(stored.logits, exact.logits);
  EXPECT_LT(error, 0.75 * RelativeL2(RunModel(path, Precision::kInt4).logits, exact.logits));
  // The double-precision reference multiplies the same integers, until one integer lands on the
  // other side of a rounding boundary. From then on, later integers differ, too. In the worst case,
  // the noise of the two back ends is independent.
  const Outcome reference = RunModel(path, Precision::kNative, Arithmetic::kReference);
  EXPECT_LT(RelativeL2(stored.logits, reference.logits), std::sqrt(2) * error);
}

class StoredModel : public testing::TestWithParam<DType> {};

TEST_P(StoredModel, IsNearerToFp32ThanWeightsQuantizedAgain) {
  const TempDir directory;
  ExpectNearerToFp32ThanWeightsQuantizedAgain(WriteQuantizedModel(
      directory, Config(), 0.1f, [](const std::string&) { return GetParam(); }));
}

TEST_P(StoredModel, TakesTheMemoryOfItsTypes) {
  const TempDir directory;
  const std::string path =
      WriteQuantizedModel(directory, Config(), 0.1f, [](const std::string&) { return GetParam(); });
  const ModelConfig c = Config();
  int64_t bytes = 0;
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint);
  for (const TensorView& tensor : checkpoint->tensors())
    if (IsQuantized(tensor.dtype)) bytes += std::ssize(tensor.bytes);
  // Integers of 5 bits take 8 bits. The factors of Q4_K and Q5_K take a byte instead of 6 bits. The
  // embedding and the head have 301 rows, padded to at most 320 rows by the panels.
  const double most = (GetParam() == DType::kQ5_0   ? 8.5 / 5.5
                       : GetParam() == DType::kQ5_1 ? 9.0 / 6.0
                       : GetParam() == DType::kQ5_K ? 8.625 / 5.5
                       : GetParam() == DType::kQ4_K ? 4.625 / 4.5
                                                    : 1.0) *
                      1.02;
  EXPECT_LT(static_cast<double>(RunModel(path, Precision::kNative).weight_bytes),
            static_cast<double>(bytes) * most + static_cast<double>(c.hidden_size * 4 * 5));
}

INSTANTIATE_TEST_SUITE_P(Types, StoredModel, testing::ValuesIn(kQuantizedTypes),
                         [](const auto& type) { return std::string(DTypeName(type.param)); });

// As in Q4_K_M files, v_proj and down_proj have more bits than most other matrices.
TEST(StoredModels, AFileMayMixTypes) {
  const TempDir directory;
  const auto type_of = [](const std::string& name) {
    const auto has = [&](const char* part) { return name.find(part) != name.npos; };
    if (has("embed_tokens")) return DType::kQ8_0;
    if (has("v_proj") || has("down_proj") || has("lm_head")) return DType::kQ6_K;
    return has("o_proj") ? DType::kBF16 : DType::kQ4_K;
  };
  ExpectNearerToFp32ThanWeightsQuantizedAgain(
      WriteQuantizedModel(directory, Config(), 0.1f, type_of));
}

// If one part of a stack is not quantized, the whole stack runs in bf16.
TEST(StoredModels, AStackWithAFloatPartRunsInBf16) {
  const TempDir directory;
  const auto type_of = [](const std::string& name) {
    return name.find("q_proj") != name.npos ? DType::kQ8_0 : DType::kBF16;
  };
  const std::string path = WriteQuantizedModel(directory, Config(), 0.1f, type_of);
  EXPECT_EQ(RunModel(path, Precision::kNative).logits, RunModel(path, Precision::kBf16).logits);
}

}  // namespace
}  // namespace merope

// Tests which precision a checkpoint runs in.
#include "engine/load.h"

#include <gtest/gtest.h>

#include "tests/support/llama_config.h"
#include "tests/support/quantized_model.h"

namespace merope {
namespace {

ModelConfig Config() {
  ModelConfig config = LlamaConfig({.hidden = 64, .layers = 1, .head_dim = 16, .vocabulary = 300});
  config.tie_word_embeddings = true;
  return config;
}

TEST(LoadRuntime, ASmallQuantizedGgufRunsInBf16UnlessToldOtherwise) {
  const TempDir directory;
  const std::string path =
      WriteQuantizedModel(directory, Config(), 0.1f, [](const std::string& name) {
        return name.find("embed") != name.npos ? DType::kQ8_0 : DType::kQ4_0;
      });
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  const auto runtime = LoadRuntime(*checkpoint, {.threads = 1});
  ASSERT_TRUE(runtime) << ErrorOf(runtime);
  EXPECT_EQ(runtime->backend->precision(), Precision::kBf16);
  EXPECT_EQ(DescribePrecision(*checkpoint, Precision::kNative), "native (Q8_0, Q4_0)");
  EXPECT_EQ(DescribePrecision(*checkpoint, Precision::kInt8), "int8");
  for (const char* name : {"fp32", "bf16", "int8", "int4", "native"}) {
    const auto precision = ParsePrecision(name);
    ASSERT_TRUE(precision) << ErrorOf(precision);
    const auto told = LoadRuntime(*checkpoint, {.precision = *precision, .threads = 1});
    ASSERT_TRUE(told) << ErrorOf(told);
    EXPECT_EQ(PrecisionName(told->backend->precision()), name);
  }
}

TEST(LoadRuntime, StoredIsRefusedWhereNothingIsQuantized) {
  const TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), Config(), {.seed = 1, .dtype = DType::kBF16}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  const auto runtime = LoadRuntime(*checkpoint, {.precision = Precision::kNative, .threads = 1});
  ASSERT_FALSE(runtime);
  EXPECT_EQ(
      runtime.error().message,
      directory.path() + ": dtype native: expected a GGUF file's quantized weights, found BF16");
}

}  // namespace
}  // namespace merope

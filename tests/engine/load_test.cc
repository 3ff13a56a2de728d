// Which precision a checkpoint runs in.
#include "engine/load.h"

#include <gtest/gtest.h>

#include "tests/support/quantized_model.h"

namespace merope {
namespace {

ModelConfig Config() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_layers = 1;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.vocab_size = 300;
  config.max_position_embeddings = 128;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.tie_word_embeddings = true;
  return config;
}

TEST(LoadRuntime, AQuantizedGgufRunsAsItIsStoredUnlessToldOtherwise) {
  const TempDir directory;
  const std::string path =
      WriteQuantizedModel(directory, Config(), 0.1f, [](const std::string& name) {
        return name.find("embed") != name.npos ? DType::kQ8_0 : DType::kQ4_0;
      });
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  const auto runtime = LoadRuntime(*checkpoint, {.threads = 1});
  ASSERT_TRUE(runtime) << ErrorOf(runtime);
  EXPECT_EQ(runtime->backend->precision(), Precision::kStored);
  EXPECT_EQ(DescribePrecision(*checkpoint, Precision::kStored), "stored (Q8_0, Q4_0)");
  EXPECT_EQ(DescribePrecision(*checkpoint, Precision::kInt8), "int8");
  for (const char* name : {"fp32", "bf16", "int8", "int4", "stored"}) {
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
  const auto runtime = LoadRuntime(*checkpoint, {.precision = Precision::kStored, .threads = 1});
  ASSERT_FALSE(runtime);
  EXPECT_EQ(
      runtime.error().message,
      directory.path() + ": dtype stored: expected a GGUF file's quantized weights, found BF16");
}

}  // namespace
}  // namespace merope

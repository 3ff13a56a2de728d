// The same weights give the same bits of logits, whichever file they come in.
#include <gtest/gtest.h>

#include <cstring>

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "model/llama.h"
#include "tests/support/expect.h"
#include "tests/support/gguf_convert.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

ModelConfig Config(bool biases) {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = 52;
  config.intermediate_size = 100;
  config.num_layers = 2;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.head_dim = 14;
  config.vocab_size = 97;
  config.max_position_embeddings = 128;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.attention_bias = config.mlp_bias = biases;
  config.tie_word_embeddings = !biases;
  return config;
}

std::vector<float> Logits(const std::string& path, Precision precision) {
  const auto checkpoint = Checkpoint::Open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  const auto backend = MakeCpuBackend({precision, 1});
  const auto model = Llama::Load(*checkpoint, *backend, {});
  EXPECT_TRUE(model) << model.error().message;
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 40; ++i) tokens.push_back(i * i % 97);
  Sequence sequence((*model)->kv());
  std::vector<float> all;
  const Status done = (*model)->Extend(&sequence, tokens, 40, [&](int64_t, auto logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  });
  EXPECT_TRUE(done) << done.error().message;
  return all;
}

struct Case {
  DType dtype;
  Precision precision;
  bool biases;
};
class Formats : public testing::TestWithParam<Case> {};

TEST_P(Formats, GgufAndSafetensorsGiveTheSameBits) {
  const auto [dtype, precision, biases] = GetParam();
  TempDir directory;
  const Status written =
      Synthesize(directory.path(), Config(biases), {.seed = 11, .dtype = dtype, .std_dev = 0.2});
  ASSERT_TRUE(written) << written.error().message;
  const std::string gguf = directory.File("m.gguf");
  {
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    ASSERT_TRUE(WriteFile(gguf, ConvertToGguf(*checkpoint).Bytes()));
  }
  const auto a = Logits(directory.path(), precision), b = Logits(gguf, precision);
  ASSERT_EQ(a.size(), 40u * 97);
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    for (const Precision precision : {Precision::kFp32, Precision::kBf16})
      for (const bool biases : {false, true}) cases.push_back({dtype, precision, biases});
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Every, Formats, testing::ValuesIn(Cases()), [](const auto& it) {
  return fmt::format("{}_{}_{}", DTypeName(it.param.dtype), PrecisionName(it.param.precision),
                     it.param.biases ? "biases" : "tied");
});

}  // namespace
}  // namespace merope

// A checkpoint that is quantized once gives the bits of one that is quantized at load, and is
// refused where it is damaged.
#include "model/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "checkpoint/weight_check.h"
#include "model/llama.h"
#include "tests/support/expect.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

namespace fs = std::filesystem;

// No dimension is a multiple of a group.
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

std::vector<float> Logits(const std::string& path, Precision precision, bool reference = false) {
  const auto checkpoint = Checkpoint::Open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  const CpuOptions options{precision, 1};
  const auto backend = reference ? MakeReferenceBackend(options) : MakeCpuBackend(options);
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

class QuantizeTest : public testing::TestWithParam<std::tuple<Precision, bool>> {
 protected:
  void SetUp() override {
    const auto [precision, biases] = GetParam();
    ASSERT_TRUE(Synthesize(source_, Config(biases), {.seed = 4}));
    const auto checkpoint = Checkpoint::Open(source_);
    ASSERT_TRUE(checkpoint);
    const auto done = Quantize(*checkpoint, out_, {.precision = precision, .threads = 2});
    ASSERT_TRUE(done) << done.error().message;
  }
  std::string Error() const {
    const auto checkpoint = Checkpoint::Open(out_);
    if (!checkpoint) return checkpoint.error().message;
    const auto backend = MakeCpuBackend({std::get<0>(GetParam()), 1});
    const auto model = Llama::Load(*checkpoint, *backend, {});
    return model ? "" : model.error().message;
  }
  // Changes the configuration's note.
  void Patch(const char* field, const Json& value) const {
    Json config = *ReadJsonFile(out_ + "/config.json");
    config["quantization_config"][field] = value;
    ASSERT_TRUE(WriteFile(out_ + "/config.json", config.dump()));
  }

  TempDir directory_;
  const std::string source_ = directory_.path() + "/source", out_ = directory_.path() + "/out";
};

TEST_P(QuantizeTest, GivesTheBitsOfQuantizingAtLoad) {
  const Precision precision = std::get<0>(GetParam());
  EXPECT_EQ(Logits(out_, precision), Logits(source_, precision));
  EXPECT_EQ(Logits(out_, precision, true), Logits(source_, precision, true));
}

TEST_P(QuantizeTest, IsWholeAndRunsInFp32Too) {
  const auto checkpoint = Checkpoint::Open(out_);
  ASSERT_TRUE(checkpoint);
  const auto report = CheckWeights(*checkpoint, {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ok());
  const std::vector<float> exact = Logits(source_, Precision::kFp32),
                           own = Logits(out_, Precision::kFp32);
  double error = 0, squares = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(exact[i] - own[i], 2);
    squares += std::pow(exact[i], 2);
  }
  EXPECT_GT(error, 0);
  EXPECT_LT(error / squares, std::get<0>(GetParam()) == Precision::kInt8 ? 1e-3 : 0.1);
}

TEST_P(QuantizeTest, RefusesWhatIsThereAndWhatIsQuantized) {
  const auto source = Checkpoint::Open(source_), quantized = Checkpoint::Open(out_);
  ASSERT_TRUE(source && quantized);
  const auto again = Quantize(*source, out_, {});
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("--force"), std::string::npos);
  const auto twice = Quantize(*quantized, out_ + "2", {});
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("already"), std::string::npos);
  EXPECT_FALSE(fs::exists(out_ + "2"));
  EXPECT_TRUE(Quantize(*source, out_, {.force = true}));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()), 2);
}

TEST_P(QuantizeTest, RefusesDamage) {
  Patch("dtype", "int3");
  EXPECT_NE(Error().find("dtype"), std::string::npos) << Error();
  Patch("dtype", std::get<0>(GetParam()) == Precision::kInt8 ? "int4" : "int8");
  EXPECT_NE(Error().find("shape"), std::string::npos) << Error();
  Patch("dtype", PrecisionName(std::get<0>(GetParam())));
  Patch("version", 2);
  EXPECT_NE(Error().find("version"), std::string::npos) << Error();
  Patch("version", 1);
  EXPECT_EQ(Error(), "");

  // The first scale of the first matrix becomes NaN.
  const std::string path = out_ + "/model.safetensors";
  std::string file = *ReadFile(path);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  const std::string whole = file;
  file[8 + length] = file[8 + length + 1] = '\x7f';
  file[8 + length] = '\xff';
  ASSERT_TRUE(WriteFile(path, file));
  EXPECT_NE(Error().find("embed_tokens"), std::string::npos) << Error();
  // A matrix of another dtype.
  file = whole;
  file.replace(file.find("\"U8\""), 4, "\"I8\"");
  ASSERT_TRUE(WriteFile(path, file));
  EXPECT_NE(Error().find("expected U8"), std::string::npos) << Error();
  ASSERT_TRUE(WriteFile(path, whole.substr(0, whole.size() - 1)));
  EXPECT_NE(Error(), "");
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizeTest,
                         testing::Combine(testing::Values(Precision::kInt8, Precision::kInt4),
                                          testing::Bool()),
                         [](const auto& suite_info) {
                           return std::string(PrecisionName(std::get<0>(suite_info.param))) +
                                  (std::get<1>(suite_info.param) ? "_biases" : "_tied");
                         });

}  // namespace
}  // namespace merope

// GGUF files that load.
#include "checkpoint/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/weight_check.h"
#include "tests/checkpoint/support.h"
#include "tests/support/gguf_convert.h"

namespace merope {
namespace {

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

Result<ModelConfig> ConfigOf(const GgufWriter& writer) {
  const std::string bytes = writer.Bytes();
  TRY_ASSIGN(const GgufFile gguf, GgufFile::Parse(AsBytes(bytes), "m.gguf"));
  return GgufConfig(gguf);
}

class GgufConversion : public testing::TestWithParam<std::pair<DType, bool>> {};

// Every row of every tensor of the GGUF file is that of the safetensors file it was converted from.
TEST_P(GgufConversion, HoldsTheSameCheckpoint) {
  const auto [dtype, biases] = GetParam();
  ModelConfig config = TinyConfig();
  config.attention_bias = config.mlp_bias = biases;
  config.tie_word_embeddings = !biases;
  TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), config, {.seed = 5, .dtype = dtype}));
  const auto original = Checkpoint::Open(directory.path());
  ASSERT_TRUE(original) << original.error().message;
  Write(directory.File("m.gguf"), ConvertToGguf(*original).Bytes());
  const auto converted = Checkpoint::Open(directory.File("m.gguf"));
  ASSERT_TRUE(converted) << converted.error().message;
  EXPECT_EQ(converted->format(), CheckpointFormat::kGguf);
  EXPECT_EQ(converted->config().attention_bias, biases);
  EXPECT_EQ(converted->config().mlp_bias, biases);
  EXPECT_EQ(converted->config().tie_word_embeddings, !biases);
  EXPECT_EQ(converted->config().head_dim, config.head_dim);
  EXPECT_EQ(converted->config().dtype, dtype);
  EXPECT_EQ(converted->config().eos_token_ids, std::vector{2});
  EXPECT_EQ(converted->config().eos_source, "m.gguf: tokenizer.ggml.eos_token_id");
  ASSERT_EQ(converted->tensors().size(), original->tensors().size());
  bool order_differs = false;
  for (const TensorView& tensor : original->tensors()) {
    const TensorView* other = converted->Find(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(other->shape, tensor.shape);
    std::vector<float> a(static_cast<size_t>(tensor.cols())), b(a.size());
    for (int64_t row = 0; row < tensor.rows(); ++row) {
      tensor.DecodeRow(row, a);
      other->DecodeRow(row, b);
      ASSERT_EQ(a, b) << tensor.name << " row " << row;
      if (tensor.shape.size() == 2) {
        EXPECT_TRUE(std::ranges::equal(tensor.Row(row), other->Row(row)));
      }
    }
    order_differs = order_differs || !std::ranges::equal(tensor.bytes, other->bytes);
  }
  EXPECT_TRUE(order_differs);  // or the permutation has not been tested
  const auto report = CheckWeights(*converted);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->parameters, CheckWeights(*original)->parameters);
}
INSTANTIATE_TEST_SUITE_P(DTypes, GgufConversion,
                         testing::Values(std::pair{DType::kF32, false},
                                         std::pair{DType::kF32, true}, std::pair{DType::kF16, true},
                                         std::pair{DType::kBF16, false},
                                         std::pair{DType::kBF16, true}));

// By hand: two heads of four rows, whose rows say where they belong.
TEST(TensorView, UndoesTheInterleavingOfHeads) {
  // HF row (half j, i) of a head is stored at i · 2 + j.
  const std::vector<float> stored = {0, 2, 1, 3, 4, 6, 5, 7};
  TensorView matrix{"q", DType::kF32, {8, 1}, std::as_bytes(std::span(stored)), 2};
  TensorView bias{"b", DType::kF32, {8}, std::as_bytes(std::span(stored)), 2};
  std::vector<float> all(8);
  bias.DecodeRow(0, all);
  for (int64_t row = 0; row < 8; ++row) {
    float value = -1;
    matrix.DecodeRow(row, {&value, 1});
    EXPECT_EQ(value, static_cast<float>(row));
    EXPECT_EQ(all[static_cast<size_t>(row)], static_cast<float>(row));
  }
}

TEST(Gguf, VersionTwoReadsTheSame) {
  GgufWriter writer;
  writer.version = 2;
  AddLlamaKeys(TinyConfig(), &writer);
  const auto config = ConfigOf(writer);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->hidden_size, 48);
}

TEST(Gguf, RopeScaling) {
  GgufWriter linear;
  AddLlamaKeys(TinyConfig(), &linear);
  linear.String("llama.rope.scaling.type", "linear");
  linear.Float32("llama.rope.scaling.factor", 4);
  EXPECT_EQ(ConfigOf(linear)->rope.kind, RopeKind::kLinear);
  EXPECT_EQ(ConfigOf(linear)->rope.factor, 4);

  GgufWriter yarn;
  AddLlamaKeys(TinyConfig(), &yarn);
  yarn.String("llama.rope.scaling.type", "yarn");
  yarn.Float32("llama.rope.scaling.factor", 8);
  yarn.Uint32("llama.rope.scaling.original_context_length", 128);
  EXPECT_EQ(ConfigOf(yarn)->rope.kind, RopeKind::kYarn);
  EXPECT_EQ(ConfigOf(yarn)->rope.original_max_position_embeddings, 128);
  EXPECT_DOUBLE_EQ(ConfigOf(yarn)->rope.attention_factor, 0.1 * std::log(8.0) + 1);
  yarn.Float32("llama.rope.scaling.attn_factor", 2);
  EXPECT_DOUBLE_EQ(ConfigOf(yarn)->rope.attention_factor, 2 * (0.1 * std::log(8.0) + 1));

  GgufWriter divided;
  AddLlamaKeys(TinyConfig(), &divided);
  const std::vector<float> divisors = {1, 2, 8};
  divided.Add({"rope_freqs.weight",
               0,
               {3},
               std::string(reinterpret_cast<const char*>(divisors.data()), 12)});
  const auto config = ConfigOf(divided);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope_divisors, divisors);
}

TEST(Gguf, EveryEndOfTurnIdStops) {
  GgufWriter writer;
  AddLlamaKeys(TinyConfig(), &writer);
  writer.Uint32("tokenizer.ggml.eos_token_id", 2);
  writer.Uint32("tokenizer.ggml.eot_token_id", 9);
  writer.Uint32("tokenizer.ggml.eom_token_id", 2);
  EXPECT_EQ(ConfigOf(writer)->eos_token_ids, (std::vector{2, 9}));
}

TEST(Gguf, Vocabulary) {
  GgufWriter writer;
  writer.String("general.architecture", "gpt2");  // a vocabulary may be of any model
  writer.String("tokenizer.ggml.model", "llama");
  writer.String("tokenizer.ggml.pre", "default");
  writer.Strings("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "▁a"});
  writer.Array<float>("tokenizer.ggml.scores", 6, {0, 0, 0, -1.5f});
  writer.Array<int32_t>("tokenizer.ggml.token_type", 5, {2, 3, 3, 1});
  writer.Uint32("tokenizer.ggml.bos_token_id", 1);
  writer.Bool("tokenizer.ggml.add_bos_token", true);
  writer.Bool("tokenizer.ggml.add_space_prefix", false);
  const std::string bytes = writer.Bytes();
  const auto gguf = GgufFile::Parse(AsBytes(bytes), "v.gguf");
  ASSERT_TRUE(gguf) << gguf.error().message;
  const auto vocabulary = ReadGgufVocabulary(*gguf);
  ASSERT_TRUE(vocabulary) << vocabulary.error().message;
  EXPECT_EQ(vocabulary->model, "llama");
  EXPECT_EQ(vocabulary->pre, "default");
  EXPECT_EQ(vocabulary->tokens, (std::vector<std::string>{"<unk>", "<s>", "</s>", "▁a"}));
  EXPECT_EQ(vocabulary->scores, (std::vector<float>{0, 0, 0, -1.5f}));
  EXPECT_EQ(vocabulary->types, (std::vector{2, 3, 3, 1}));
  EXPECT_TRUE(vocabulary->merges.empty());
  EXPECT_EQ(vocabulary->bos, 1);
  EXPECT_EQ(vocabulary->eos, std::nullopt);
  EXPECT_EQ(vocabulary->add_bos, true);
  EXPECT_EQ(vocabulary->add_eos, std::nullopt);
  EXPECT_EQ(vocabulary->add_space_prefix, false);
}

TEST(Gguf, IntegersOfEveryWidth) {
  GgufWriter writer;
  writer.Raw("u8", 0, "\xff");
  writer.Raw("i8", 1, "\xff");
  writer.Raw("i16", 3, "\xfe\xff");
  writer.Int32("i32", -3);
  writer.Uint64("u64", uint64_t{1} << 63);
  const std::string bytes = writer.Bytes();
  const auto gguf = GgufFile::Parse(AsBytes(bytes), "f");
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(**gguf->Integer("u8", -500, 500), 255);
  EXPECT_EQ(**gguf->Integer("i8", -500, 500), -1);
  EXPECT_EQ(**gguf->Integer("i16", -500, 500), -2);
  EXPECT_EQ(**gguf->Integer("i32", -500, 500), -3);
  EXPECT_EQ(*gguf->Integer("none", 0, 1), std::nullopt);
  EXPECT_TRUE(Contains(ErrorOf(gguf->Integer("u64", INT64_MIN, INT64_MAX)), "9223372036854775808"));
}

}  // namespace
}  // namespace merope

// GGUF files that load.
#include "checkpoint/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/weight_check.h"
#include "checkpoint/weight_source.h"
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

struct Conversion {
  DType dtype;
  bool biases;
  Architecture architecture = Architecture::kLlama;
};
class GgufConversion : public testing::TestWithParam<Conversion> {};

// The GGUF file is converted from the safetensors file. Every row of every tensor is the same in
// both files.
TEST_P(GgufConversion, HoldsTheSameCheckpoint) {
  const auto [dtype, biases, architecture] = GetParam();
  const bool llama = architecture == Architecture::kLlama;
  ModelConfig config = TinyConfig();
  config.architecture = architecture;
  config.attention_bias = biases;
  config.mlp_bias = llama && biases;
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
  EXPECT_EQ(converted->config().architecture, architecture);
  EXPECT_EQ(converted->config().mlp_bias, llama && biases);
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
    const auto opened = OpenTensor(*other);
    for (int64_t row = 0; row < tensor.rows(); ++row) {
      tensor.DecodeRow(row, a);
      opened->DecodeRow(row, b);
      ASSERT_EQ(a, b) << tensor.name << " row " << row;
      if (tensor.shape.size() == 2) {
        EXPECT_TRUE(std::ranges::equal(tensor.Row(row), opened->Row(row)));
      }
    }
    order_differs = order_differs || !std::ranges::equal(tensor.bytes, other->bytes);
  }
  EXPECT_EQ(order_differs, llama);  // otherwise the permutation is not tested
  const auto report = CheckWeights(*converted);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->parameters, CheckWeights(*original)->parameters);
}
INSTANTIATE_TEST_SUITE_P(DTypes, GgufConversion,
                         testing::Values(Conversion{DType::kF32, false},
                                         Conversion{DType::kF32, true},
                                         Conversion{DType::kF16, true},
                                         Conversion{DType::kBF16, false},
                                         Conversion{DType::kBF16, true},
                                         Conversion{DType::kBF16, true, Architecture::kQwen2},
                                         Conversion{DType::kF32, false, Architecture::kQwen3},
                                         Conversion{DType::kF16, true, Architecture::kQwen3}));

// Two heads of four rows. The value of a row is the row's number in HF order.
TEST(WeightTensor, UndoesTheInterleavingOfHeads) {
  // Row i of half j of a head, in HF order, is stored at i · 2 + j.
  const std::vector<float> stored = {0, 2, 1, 3, 4, 6, 5, 7};
  const auto matrix = OpenTensor({"q", DType::kF32, {8, 1}, std::as_bytes(std::span(stored)), 2});
  const auto bias = OpenTensor({"b", DType::kF32, {8}, std::as_bytes(std::span(stored)), 2});
  std::vector<float> all(8);
  bias->DecodeRow(0, all);
  for (int64_t row = 0; row < 8; ++row) {
    float value = -1;
    matrix->DecodeRow(row, {&value, 1});
    EXPECT_EQ(value, static_cast<float>(row));
    EXPECT_EQ(all[static_cast<size_t>(row)], static_cast<float>(row));
  }
}

TEST(Gguf, VersionTwoReadsTheSame) {
  GgufWriter writer;
  writer.version = 2;
  AddModelKeys(TinyConfig(), &writer);
  const auto config = ConfigOf(writer);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->hidden_size, 48);
}

TEST(Gguf, RopeScaling) {
  GgufWriter linear;
  AddModelKeys(TinyConfig(), &linear);
  linear.String("llama.rope.scaling.type", "linear");
  linear.Float32("llama.rope.scaling.factor", 4);
  EXPECT_EQ(ConfigOf(linear)->rope.kind, RopeKind::kLinear);
  EXPECT_EQ(ConfigOf(linear)->rope.factor, 4);

  GgufWriter yarn;
  AddModelKeys(TinyConfig(), &yarn);
  yarn.String("llama.rope.scaling.type", "yarn");
  yarn.Float32("llama.rope.scaling.factor", 8);
  yarn.Uint32("llama.rope.scaling.original_context_length", 128);
  EXPECT_EQ(ConfigOf(yarn)->rope.kind, RopeKind::kYarn);
  EXPECT_EQ(ConfigOf(yarn)->rope.original_max_position_embeddings, 128);
  EXPECT_DOUBLE_EQ(ConfigOf(yarn)->rope.attention_factor, 0.1 * std::log(8.0) + 1);
  yarn.Float32("llama.rope.scaling.attn_factor", 2);
  EXPECT_DOUBLE_EQ(ConfigOf(yarn)->rope.attention_factor, 2 * (0.1 * std::log(8.0) + 1));

  GgufWriter divided;
  AddModelKeys(TinyConfig(), &divided);
  const std::vector<float> divisors = {1, 2, 8};
  divided.Add({"rope_freqs.weight",
               0,
               {3},
               std::string(reinterpret_cast<const char*>(divisors.data()), 12)});
  const auto config = ConfigOf(divided);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope_divisors, divisors);
}

// A file in which one key is changed or added.
TEST(Gguf, KeysAtTheirBoundaries) {
  const auto error = [](auto change) {
    ModelConfig config = TinyConfig();
    GgufWriter writer;
    change(config, writer);
    AddModelKeys(config, &writer);
    return ErrorOf(ConfigOf(writer));
  };
  const auto sizes = [&](int64_t ModelConfig::* size, int64_t value) {
    return error([&](auto& config, auto&) { config.*size = value; });
  };
  const auto range = [](const char* key, int64_t max, int64_t found) {
    return fmt::format("m.gguf: {}: expected a whole number from 1 to {}, found {}", key, max,
                       found);
  };
  EXPECT_EQ(sizes(&ModelConfig::hidden_size, 1 << 20), "(no error)");
  EXPECT_EQ(sizes(&ModelConfig::hidden_size, (1 << 20) + 1),
            range("llama.embedding_length", 1 << 20, (1 << 20) + 1));
  EXPECT_EQ(sizes(&ModelConfig::intermediate_size, 1 << 20), "(no error)");
  EXPECT_EQ(sizes(&ModelConfig::intermediate_size, 0),
            range("llama.feed_forward_length", 1 << 20, 0));
  EXPECT_EQ(sizes(&ModelConfig::num_layers, 4096), "(no error)");
  EXPECT_EQ(sizes(&ModelConfig::num_layers, 4097), range("llama.block_count", 4096, 4097));
  EXPECT_EQ(sizes(&ModelConfig::num_heads, 16384), "(no error)");
  EXPECT_EQ(sizes(&ModelConfig::num_heads, 16385),
            range("llama.attention.head_count", 16384, 16385));
  EXPECT_EQ(sizes(&ModelConfig::num_kv_heads, 3),
            "m.gguf: llama.attention.head_count_kv: expected a divisor of "
            "llama.attention.head_count (4), found 3");
  EXPECT_EQ(sizes(&ModelConfig::max_position_embeddings, 1 << 26), "(no error)");
  EXPECT_EQ(sizes(&ModelConfig::max_position_embeddings, (1 << 26) + 1),
            range("llama.context_length", 1 << 26, (1 << 26) + 1));
  EXPECT_EQ(sizes(&ModelConfig::vocab_size, 1 << 22), "(no error)");
  EXPECT_EQ(sizes(&ModelConfig::vocab_size, (1 << 22) + 1),
            range("llama.vocab_size", 1 << 22, (1 << 22) + 1));
  EXPECT_EQ(sizes(&ModelConfig::head_dim, 3),
            "m.gguf: llama.attention.key_length: expected an even number, found 3");

  const auto with = [&](auto add) { return error([&](auto&, auto& writer) { add(writer); }); };
  EXPECT_EQ(with([](auto& w) { w.Uint32("split.count", 1); }), "(no error)");
  EXPECT_TRUE(Contains(with([](auto& w) { w.Uint32("split.count", 2); }),
                       "m.gguf: split.count: a model split into 2 files"));
  EXPECT_EQ(with([](auto& w) { w.Uint32("llama.expert_count", 0); }), "(no error)");
  EXPECT_EQ(with([](auto& w) { w.Uint32("llama.expert_count", 1); }),
            "m.gguf: llama.expert_count: expected a model without experts, found 1");
  EXPECT_EQ(with([](auto& w) { w.String("llama.rope.scaling.type", "x"); }),
            "m.gguf: llama.rope.scaling.type: expected none, linear or yarn, found \"x\"");
  for (const float factor : {0.0f, 1.0f})
    EXPECT_EQ(with([=](auto& w) {
                w.String("llama.rope.scaling.type", "yarn");
                w.Float32("llama.rope.scaling.factor", factor);
              }),
              "m.gguf: llama.rope.scaling.factor: expected a factor for yarn, found none");
  const auto divisors = [&](std::vector<float> values) {
    return with([&](auto& w) {
      w.Add({"rope_freqs.weight",
             0,
             {values.size()},
             std::string(reinterpret_cast<const char*>(values.data()), values.size() * 4)});
    });
  };
  EXPECT_EQ(divisors({1, 2, 1e30f}), "(no error)");
  EXPECT_EQ(divisors({1, 2}),
            "m.gguf: tensor \"rope_freqs.weight\": expected F32 of shape (3), found F32 of shape "
            "(2)");
  for (const float wrong : {0.0f, -1.0f, 2e30f})
    EXPECT_EQ(divisors({1, 2, wrong}),
              fmt::format("m.gguf: tensor \"rope_freqs.weight\": expected positive numbers, found "
                          "{:g}",
                          wrong));
}

// Only the rows of Q and K are interleaved, for any sizes of the other tensors. Names that a llama
// does not have stay as they are.
TEST(Gguf, NamesAndHeadsOfTensors) {
  ModelConfig config = TinyConfig();
  config.num_kv_heads = 1;
  GgufWriter writer;
  AddModelKeys(config, &writer);
  struct Case {
    const char *gguf, *hf;
    int64_t rows, heads;
  };
  const Case cases[] = {
      {"token_embd.weight", "model.embed_tokens.weight", 6, 0},
      {"output_norm.weight", "model.norm.weight", 6, 0},
      {"output.weight", "lm_head.weight", 6, 0},
      {"blk.3.attn_norm.weight", "model.layers.3.input_layernorm.weight", 6, 0},
      {"blk.12.attn_q.weight", "model.layers.12.self_attn.q_proj.weight", 24, 4},
      {"blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias", 24, 4},
      {"blk.4.attn_q.weight", "model.layers.4.self_attn.q_proj.weight", 6, 0},
      {"blk.3.attn_k.weight", "model.layers.3.self_attn.k_proj.weight", 6, 1},
      {"blk.3.attn_v.weight", "model.layers.3.self_attn.v_proj.weight", 6, 0},
      {"blk.3.attn_output.weight", "model.layers.3.self_attn.o_proj.weight", 24, 0},
      {"blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight", 6, 0},
      {"blk.3.ffn_gate.weight", "model.layers.3.mlp.gate_proj.weight", 6, 0},
      {"blk.3.ffn_up.weight", "model.layers.3.mlp.up_proj.weight", 6, 0},
      {"blk.3.ffn_down.bias", "model.layers.3.mlp.down_proj.bias", 6, 0},
      {"blk.x.ffn_down.bias", "blk.x.ffn_down.bias", 6, 0},
      {"blk.3.ffn_down.scale", "blk.3.ffn_down.scale", 6, 0},
      {"blk.3.other.weight", "blk.3.other.weight", 6, 0},
      {"blk.weight", "blk.weight", 6, 0},
      {"other.weight", "other.weight", 6, 0},
  };
  for (const Case& c : cases)
    writer.Add({c.gguf,
                0,
                {static_cast<uint64_t>(c.rows)},
                std::string(static_cast<size_t>(4 * c.rows), '\0')});
  const std::string bytes = writer.Bytes();
  const auto gguf = GgufFile::Parse(AsBytes(bytes), "m.gguf");
  ASSERT_TRUE(gguf) << ErrorOf(gguf);
  std::vector<std::string> ignored;
  const std::vector<TensorView> tensors = GgufTensors(*gguf, config, &ignored);
  ASSERT_EQ(tensors.size(), std::size(cases));
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(tensors[i].name, cases[i].hf);
    EXPECT_EQ(tensors[i].permuted_heads, cases[i].heads) << cases[i].gguf;
  }
  EXPECT_TRUE(ignored.empty());
}

// A file that ends before the end of the tensor's data is an error, also if the file ends in the
// padding before the data.
TEST(Gguf, ATruncatedFileIsAnErrorWhereverItEnds) {
  GgufWriter writer;
  writer.String("key", "v");
  writer.Array<uint32_t>("numbers", 4, {1, 2, 3});
  writer.Add({"t", 0, {2}, std::string(8, '\0')});
  const std::string bytes = writer.Bytes();
  for (size_t size = 0; size < bytes.size() - 24; ++size)  // the last 24 bytes are padding
    EXPECT_FALSE(GgufFile::Parse(AsBytes(bytes.substr(0, size)), "m.gguf")) << size;
  EXPECT_TRUE(GgufFile::Parse(AsBytes(bytes.substr(0, bytes.size() - 24)), "m.gguf"));
  EXPECT_EQ(
      ErrorOf(GgufFile::Parse(AsBytes(bytes.substr(0, bytes.size() - 33)), "m.gguf")),
      "m.gguf: tensor \"t\": data: expected 8 bytes at offset 0, but the file holds 0 bytes of "
      "data (a truncated file?)");
}

// A Qwen's keys have its own prefix. Its Q and K are not interleaved.
TEST(Gguf, Qwens) {
  for (const auto& [architecture, prefix] :
       {std::pair{Architecture::kQwen2, "qwen2"}, {Architecture::kQwen3, "qwen3"}}) {
    ModelConfig config = TinyConfig();
    config.architecture = architecture;
    const auto error = [&](uint32_t window) {
      GgufWriter writer;
      AddModelKeys(config, &writer);
      writer.Uint32(fmt::format("{}.attention.sliding_window", prefix), window);
      return ErrorOf(ConfigOf(writer));
    };
    for (const uint32_t window : {0u, 256u, 300u}) EXPECT_EQ(error(window), "(no error)") << window;
    EXPECT_EQ(error(255),
              fmt::format("m.gguf: {}.attention.sliding_window: a window is not supported: "
                          "expected at least the context length (256), found 255",
                          prefix));
    GgufWriter yarn;
    AddModelKeys(config, &yarn);
    yarn.String(fmt::format("{}.rope.scaling.type", prefix), "yarn");
    yarn.Float32(fmt::format("{}.rope.scaling.factor", prefix), 4);
    yarn.Add({"blk.3.attn_q.weight", 0, {24}, std::string(96, '\0')});
    yarn.Add({"blk.3.attn_q_norm.weight", 0, {6}, std::string(24, '\0')});
    yarn.Add({"blk.3.attn_k_norm.weight", 0, {6}, std::string(24, '\0')});
    const auto read = ConfigOf(yarn);
    ASSERT_TRUE(read) << ErrorOf(read);
    EXPECT_EQ(read->architecture, architecture);
    EXPECT_EQ(read->rope.kind, RopeKind::kYarn);
    EXPECT_EQ(read->attention_bias, architecture == Architecture::kQwen2);
    const std::string bytes = yarn.Bytes();
    const auto gguf = GgufFile::Parse(AsBytes(bytes), "m.gguf");
    ASSERT_TRUE(gguf) << ErrorOf(gguf);
    std::vector<std::string> ignored;
    const auto tensors = GgufTensors(*gguf, *read, &ignored);
    ASSERT_EQ(tensors.size(), 3u);
    EXPECT_EQ(tensors[0].permuted_heads, 0);
    EXPECT_EQ(tensors[1].name, "model.layers.3.self_attn.q_norm.weight");
    EXPECT_EQ(tensors[2].name, "model.layers.3.self_attn.k_norm.weight");
  }
}

TEST(Gguf, DefaultsOfScaling) {
  const auto config = [](auto add) {
    GgufWriter writer;
    AddModelKeys(TinyConfig(), &writer);
    add(writer);
    const auto read = ConfigOf(writer);
    EXPECT_TRUE(read) << ErrorOf(read);
    return *read;
  };
  // A factor without a type means linear scaling. The same holds for the older name of the key. The
  // factors 0 and 1 and the type "none" mean no scaling.
  const auto factor = [&](const char* key, float value) {
    return config([=](auto& w) { w.Float32(key, value); }).rope;
  };
  EXPECT_EQ(factor("llama.rope.scaling.factor", 4).kind, RopeKind::kLinear);
  EXPECT_EQ(factor("llama.rope.scale_linear", 4).kind, RopeKind::kLinear);
  EXPECT_EQ(factor("llama.rope.scale_linear", 4).factor, 4);
  EXPECT_EQ(factor("llama.rope.scaling.factor", 1).kind, RopeKind::kNone);
  EXPECT_EQ(factor("llama.rope.scaling.factor", 0).kind, RopeKind::kNone);
  EXPECT_EQ(config([](auto& w) {
              w.String("llama.rope.scaling.type", "none");
              w.Float32("llama.rope.scaling.factor", 4);
            }).rope.kind,
            RopeKind::kNone);
  const auto yarn = config([](auto& w) {
                      w.String("llama.rope.scaling.type", "yarn");
                      w.Float32("llama.rope.scaling.factor", 4);
                      w.Float32("llama.rope.scaling.attn_factor", 7);
                      w.Float32("llama.rope.scaling.yarn_attn_factor", 3);
                      w.Float32("llama.rope.scaling.yarn_beta_fast", 16);
                    }).rope;
  EXPECT_EQ(yarn.original_max_position_embeddings, 256);  // the context length
  EXPECT_DOUBLE_EQ(yarn.attention_factor, 3 * (0.1 * std::log(4.0) + 1));
  EXPECT_EQ(yarn.beta_fast, 16);
  EXPECT_EQ(yarn.beta_slow, 1);
  const auto plain = config([](auto&) {});
  EXPECT_EQ(plain.rope.beta_fast, 32);
  EXPECT_EQ(plain.eos_source, "m.gguf: no tokenizer.ggml.eos_token_id");
  EXPECT_EQ(plain.bos_token_id, std::nullopt);
  EXPECT_TRUE(plain.tie_word_embeddings);
  EXPECT_EQ(plain.dtype, DType::kF32);
}

TEST(Gguf, EveryEndOfTurnIdStops) {
  const auto ids = [](uint32_t eos, uint32_t eot, uint32_t eom) {
    GgufWriter writer;
    AddModelKeys(TinyConfig(), &writer);
    writer.Uint32("tokenizer.ggml.eos_token_id", eos);
    writer.Uint32("tokenizer.ggml.eot_token_id", eot);
    writer.Uint32("tokenizer.ggml.eom_token_id", eom);
    return ConfigOf(writer)->eos_token_ids;
  };
  EXPECT_EQ(ids(2, 9, 2), (std::vector{2, 9}));
  EXPECT_EQ(ids(0, 9, 8), (std::vector{0, 9, 8}));  // id 0 may end a turn
}

TEST(Gguf, Vocabulary) {
  GgufWriter writer;
  writer.String("general.architecture", "gpt2");  // the vocabulary may be of any architecture
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

#include "checkpoint/weight_check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/digest.h"
#include "tests/checkpoint/support.h"
#include "tests/support/gguf_convert.h"

namespace merope {
namespace {

// A synthetic checkpoint whose header and data a test may change.
class WeightCheck : public testing::Test {
 protected:
  void Make(const ModelConfig& config, DType dtype = DType::kF32) {
    ASSERT_TRUE(Synthesize(directory_.path(), config, {.seed = 1, .dtype = dtype}));
    const std::string file = Read(directory_.File("model.safetensors"));
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof(length));
    header_ = *ParseJson(file.substr(8, length), "header");
    data_ = file.substr(8 + length);
  }
  WeightReport Check() {
    Write(directory_.File("model.safetensors"), Safetensors(header_.dump(), data_));
    const auto checkpoint = Checkpoint::Open(directory_.path());
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    const auto report = CheckWeights(*checkpoint);
    EXPECT_TRUE(report) << report.error().message;
    return *report;
  }
  size_t Offset(const std::string& name) { return header_[name]["data_offsets"][0]; }
  template <class T>
  void Poke(const std::string& name, size_t index, T value) {
    std::memcpy(data_.data() + Offset(name) + index * sizeof(T), &value, sizeof(T));
  }
  // Adds a tensor at the end of the data.
  void Append(const std::string& name, const std::vector<int64_t>& shape,
              const std::string& bytes) {
    header_[name] = {{"dtype", "F32"},
                     {"shape", shape},
                     {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_ += bytes;
  }

  TempDir directory_;
  Json header_;
  std::string data_;
};

TEST_F(WeightCheck, AWholeCheckpoint) {
  Make(TinyConfig());
  const WeightReport report = Check();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.expected_tensors, 21);
  EXPECT_EQ(report.found_tensors, 21);
  // The embedding and the head; in each layer q and o, k and v, three feed-forward matrices and two
  // norms; the last norm.
  const int64_t parameters =
      2 * 300 * 48 + 2 * (2 * 24 * 48 + 2 * 12 * 48 + 3 * 48 * 80 + 2 * 48) + 48;
  EXPECT_EQ(report.expected_parameters, parameters);
  EXPECT_EQ(report.parameters, parameters);
  EXPECT_EQ(report.bytes, parameters * 4);
  EXPECT_EQ(report.dtypes, (std::vector<std::pair<std::string, int64_t>>{{"F32", 21}}));
  EXPECT_FALSE(report.tied);
  ASSERT_EQ(report.files.size(), 1u);
  const std::string file = Read(directory_.File("model.safetensors"));
  Sha256 hash;
  hash.Add(std::as_bytes(std::span(file)));
  EXPECT_EQ(report.files[0].sha256, hash.Hex());
  EXPECT_EQ(report.files[0].file, "model.safetensors");
  EXPECT_EQ(report.files[0].bytes, static_cast<int64_t>(file.size()));
}

TEST_F(WeightCheck, BiasesAndTiedHeadsChangeWhatIsExpected) {
  ModelConfig config = TinyConfig();
  config.attention_bias = config.mlp_bias = config.tie_word_embeddings = true;
  Make(config);
  const WeightReport report = Check();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.expected_tensors, 2 * (9 + 7) + 2);
  EXPECT_TRUE(report.tied);
}

TEST_F(WeightCheck, QwensHaveTheirOwnTensors) {
  ModelConfig config = TinyConfig();
  config.architecture = Architecture::kQwen2;
  config.attention_bias = true;
  Make(config);
  const std::string bias = "model.layers.1.self_attn.k_proj.bias";
  header_["model.layers.1.self_attn.o_proj.bias"] = header_[bias];
  header_.erase(bias);
  WeightReport report = Check();
  EXPECT_EQ(report.expected_tensors, 21 + 2 * 3);
  EXPECT_EQ(report.missing, std::vector{bias + ": expected shape (12), found nothing"});
  EXPECT_EQ(report.extra, std::vector<std::string>{"model.layers.1.self_attn.o_proj.bias: expected "
                                                   "nothing, found shape (12)"});

  config.architecture = Architecture::kQwen3;
  config.attention_bias = false;
  ASSERT_TRUE(Synthesize(directory_.path(), config, {.dtype = DType::kF32, .force = true}));
  EXPECT_TRUE(CheckWeights(*Checkpoint::Open(directory_.path()))->ok());
}

TEST_F(WeightCheck, NormsOfHeadsHaveTheShapeOfAHead) {
  ModelConfig config = TinyConfig();
  config.architecture = Architecture::kQwen3;
  Make(config);
  EXPECT_TRUE(Check().ok());
  const std::string q = "model.layers.0.self_attn.q_norm.weight";
  const std::string k = "model.layers.1.self_attn.k_norm.weight";
  header_[q]["shape"] = {2, 3};
  header_["k_norm.weight"] = header_[k];
  header_.erase(k);
  const WeightReport report = Check();
  EXPECT_EQ(report.expected_tensors, 21 + 2 * 2);
  EXPECT_EQ(report.wrong_shape, std::vector{q + ": expected shape (6), found (2, 3)"});
  EXPECT_EQ(report.missing, std::vector{k + ": expected shape (6), found nothing"});
}

TEST_F(WeightCheck, MissingExtraAndMisShapedAreNamed) {
  Make(TinyConfig());
  const std::string gate = "model.layers.0.mlp.gate_proj.weight";
  const std::string up = "model.layers.1.mlp.up_proj.weight";
  header_["model.layers.7.mlp.gate_proj.weight"] = header_[gate];
  header_.erase(gate);
  header_[up]["shape"] = {48, 80};
  const WeightReport report = Check();
  EXPECT_FALSE(report.ok());
  ASSERT_EQ(report.missing.size(), 1u);
  EXPECT_EQ(report.missing[0], gate + ": expected shape (80, 48), found nothing");
  ASSERT_EQ(report.extra.size(), 1u);
  EXPECT_EQ(report.extra[0],
            "model.layers.7.mlp.gate_proj.weight: expected nothing, found shape (80, 48)");
  ASSERT_EQ(report.wrong_shape.size(), 1u);
  EXPECT_EQ(report.wrong_shape[0], up + ": expected shape (80, 48), found (48, 80)");
}

TEST_F(WeightCheck, CountsWhatIsNotFiniteInEveryPlainDType) {
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  constexpr float kInf = std::numeric_limits<float>::infinity();
  Make(TinyConfig(), DType::kF32);
  Poke(name, 0, kInf);
  Poke(name, 1, -kInf);
  Poke(name, 2, std::bit_cast<float>(0x7f800001u));  // NaN by its lowest bit alone
  Poke(name, 3, std::numeric_limits<float>::max());
  WeightReport report = Check();
  EXPECT_EQ(report.inf_count, 2);
  EXPECT_EQ(report.nan_count, 1);
  EXPECT_EQ(report.not_finite, std::vector{name + ": 1 NaN, 2 infinite"});
  EXPECT_FALSE(report.ok());
}
TEST_F(WeightCheck, CountsWhatIsNotFiniteInHalves) {
  const std::string name = "model.norm.weight";
  Make(TinyConfig(), DType::kF16);
  Poke<uint16_t>(name, 0, 0xfc00);
  Poke<uint16_t>(name, 1, 0x7c01);
  Poke<uint16_t>(name, 2, 0x7bff);
  const WeightReport report = Check();
  EXPECT_EQ(report.inf_count, 1);
  EXPECT_EQ(report.nan_count, 1);
}
TEST_F(WeightCheck, CountsWhatIsNotFiniteInBFloat16) {
  const std::string name = "model.norm.weight";
  Make(TinyConfig(), DType::kBF16);
  Poke<uint16_t>(name, 47, 0x7f80);
  Poke<uint16_t>(name, 46, 0xffff);
  Poke<uint16_t>(name, 45, 0x7f7f);
  const WeightReport report = Check();
  EXPECT_EQ(report.inf_count, 1);
  EXPECT_EQ(report.nan_count, 1);
}

// As in transformers 5, the model uses a stored head if its values differ from the embedding.
TEST_F(WeightCheck, ACopyOfATiedHeadIsIgnoredAndAnotherHeadIsUntied) {
  ModelConfig config = TinyConfig();
  config.tie_word_embeddings = true;
  Make(config);
  const std::string embedding =
      data_.substr(Offset("model.embed_tokens.weight"), 300 * 48 * sizeof(float));
  Append("lm_head.weight", {300, 48}, embedding);
  WeightReport report = Check();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.found_tensors, report.expected_tensors);
  EXPECT_EQ(report.parameters, report.expected_parameters);
  ASSERT_EQ(report.ignored.size(), 1u);
  EXPECT_TRUE(Contains(report.ignored[0], "lm_head.weight"));

  EXPECT_TRUE(report.tied);
  EXPECT_TRUE(report.notes.empty());

  Poke<float>("lm_head.weight", 5, 42);
  report = Check();
  EXPECT_TRUE(report.ok());
  EXPECT_FALSE(report.tied);
  EXPECT_EQ(report.found_tensors, report.expected_tensors);
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_TRUE(Contains(report.notes[0], "lm_head.weight: the config ties it")) << report.notes[0];

  data_.resize(data_.size() - embedding.size());
  header_["lm_head.weight"] = header_["model.embed_tokens.weight"];
  header_.erase("model.embed_tokens.weight");
  report = Check();
  EXPECT_TRUE(report.ok());
  EXPECT_TRUE(report.tied);
  EXPECT_EQ(report.found_tensors, report.expected_tensors);
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_TRUE(Contains(report.notes[0], "is not stored")) << report.notes[0];
}

TEST_F(WeightCheck, QuantizedBlocksAreNotFiniteByTheirScales) {
  Make(TinyConfig());
  Write(directory_.File("model.safetensors"), Safetensors(header_.dump(), data_));
  GgufWriter writer;
  AddModelKeys(TinyConfig(), &writer);
  std::string block(34, '\1');
  block[0] = '\0', block[1] = '\x7c';  // an infinite scale: 32 infinite values
  writer.Add({"token_embd.weight", 8, {32, 2}, block + std::string(34, '\1')});
  Write(directory_.File("m.gguf"), writer.Bytes());
  const auto checkpoint = Checkpoint::Open(directory_.File("m.gguf"));
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto report = CheckWeights(*checkpoint);
  EXPECT_EQ(report->inf_count, 32);
  EXPECT_EQ(report->nan_count, 0);
  block[0] = '\1';  // a NaN as scale: 32 NaN values
  GgufWriter with_nan;
  AddModelKeys(TinyConfig(), &with_nan);
  with_nan.Add({"token_embd.weight", 8, {32, 2}, block + std::string(34, '\1')});
  Write(directory_.File("m.gguf"), with_nan.Bytes());
  const auto again = Checkpoint::Open(directory_.File("m.gguf"));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(CheckWeights(*again)->inf_count, 0);
  EXPECT_EQ(CheckWeights(*again)->nan_count, 32);
}

TEST_F(WeightCheck, ProgressReachesTheTotal) {
  Make(TinyConfig());
  const auto checkpoint = Checkpoint::Open(directory_.path());
  int64_t last = 0, end = 0;
  ASSERT_TRUE(CheckWeights(*checkpoint, [&](int64_t done, int64_t total) {
    EXPECT_GE(done, last);
    last = done;
    end = total;
  }));
  EXPECT_EQ(last, end);
  // The check reads the tensors for their values, and the file for its hash.
  const auto report = CheckWeights(*checkpoint, {}, 3);
  EXPECT_EQ(end, report->bytes + report->files[0].bytes);
}

}  // namespace
}  // namespace merope

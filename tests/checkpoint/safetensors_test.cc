// Hugging Face directories that load.
#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/checkpoint.h"
#include "checkpoint/weight_check.h"
#include "tests/checkpoint/support.h"

namespace merope {
namespace {

// The decoded values of all tensors, for comparing two checkpoints.
std::map<std::string, std::vector<float>> Values(const Checkpoint& checkpoint) {
  std::map<std::string, std::vector<float>> values;
  for (const TensorView& tensor : checkpoint.tensors()) {
    auto& all = values[tensor.name];
    std::vector<float> row(static_cast<size_t>(tensor.cols()));
    for (int64_t i = 0; i < tensor.rows(); ++i) {
      tensor.DecodeRow(i, row);
      all.insert(all.end(), row.begin(), row.end());
    }
  }
  return values;
}

TEST(Directory, OpensWhatTransformersWrites) {
  TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(), {.seed = 3, .dtype = DType::kBF16}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->format(), CheckpointFormat::kSafetensors);
  EXPECT_EQ(checkpoint->config().dtype, DType::kBF16);
  EXPECT_EQ(checkpoint->config().eos_source, "generation_config.json: eos_token_id");
  EXPECT_EQ(checkpoint->tensors().size(), 2 * 9 + 3u);
  EXPECT_EQ(checkpoint->bos_token(), "<|begin_of_text|>");
  EXPECT_EQ(checkpoint->eos_token(), "<|end_of_text|>");
  EXPECT_TRUE(checkpoint->has_tokenizer());
  EXPECT_EQ(checkpoint->bos_rule(), "tokenizer.json: post_processor");

  const int64_t shape[] = {24, 48};
  const auto q = checkpoint->Require("model.layers.1.self_attn.q_proj.weight", shape);
  ASSERT_TRUE(q) << q.error().message;
  EXPECT_EQ((*q)->dtype, DType::kBF16);
  EXPECT_EQ((*q)->rows(), 24);
  EXPECT_EQ((*q)->cols(), 48);
  EXPECT_EQ((*q)->Row(23).size(), 96u);
  const int64_t wrong[] = {48, 24};
  EXPECT_TRUE(
      Contains(ErrorOf(checkpoint->Require("model.layers.1.self_attn.q_proj.weight", wrong)),
               "expected shape (48, 24), found (24, 48)"));
  EXPECT_TRUE(Contains(ErrorOf(checkpoint->Require("nothing", wrong)), "found no such tensor"));
}

TEST(Directory, ShardsAreOneCheckpoint) {
  TempDir whole, sharded;
  ASSERT_TRUE(Synthesize(whole.path(), TinyConfig(), {.seed = 3, .dtype = DType::kF16}));
  ASSERT_TRUE(Synthesize(sharded.path(), TinyConfig(),
                         {.seed = 3, .dtype = DType::kF16, .max_shard_bytes = 30'000}));
  EXPECT_TRUE(std::filesystem::exists(sharded.File("model.safetensors.index.json")));
  EXPECT_FALSE(std::filesystem::exists(sharded.File("model.safetensors")));
  const auto a = Checkpoint::Open(whole.path()), b = Checkpoint::Open(sharded.path());
  ASSERT_TRUE(a && b) << ErrorOf(b);
  EXPECT_GT(b->files().size(), 2u);
  EXPECT_EQ(Values(*a), Values(*b));
  const auto report = CheckWeights(*b);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->files.size(), b->files().size());
}

TEST(Directory, OldRotaryBuffersAreIgnoredWhateverTheirDType) {
  TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(), {}));
  const std::string path = directory.File("model.safetensors");
  const std::string file = Read(path);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  Json header = *ParseJson(file.substr(8, length), path);
  const std::string data = file.substr(8 + length);
  header["model.layers.0.self_attn.rotary_emb.inv_freq"] = {
      {"dtype", "F64"}, {"shape", {1}}, {"data_offsets", {data.size(), data.size() + 8}}};
  Write(path, Safetensors(header.dump(), data + std::string(8, '\0')));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  ASSERT_EQ(checkpoint->ignored().size(), 1u);
  EXPECT_EQ(checkpoint->ignored()[0], "model.layers.0.self_attn.rotary_emb.inv_freq");
  const auto report = CheckWeights(*checkpoint);
  EXPECT_TRUE(report->ok());
  EXPECT_EQ(report->ignored.size(), 1u);
}

TEST(Directory, WithoutATokenizerTheWeightsStillOpen) {
  TempDir directory;
  ModelConfig config = TinyConfig();
  config.vocab_size = 20;
  ASSERT_TRUE(Synthesize(directory.path(), config, {}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_FALSE(checkpoint->has_tokenizer());
  EXPECT_FALSE(checkpoint->LoadTokenizer());
  EXPECT_FALSE(checkpoint->chat_template());
}

TEST(Directory, SpecialTokensAsObjectsAndFromTheMap) {
  TempDir directory;
  ModelConfig config = TinyConfig();
  config.vocab_size = 20;
  ASSERT_TRUE(Synthesize(directory.path(), config, {}));
  Write(directory.File("tokenizer_config.json"), R"({"bos_token": {"content": "<s>"}})");
  Write(directory.File("special_tokens_map.json"), R"({"bos_token": "no", "eos_token": "</s>"})");
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->bos_token(), "<s>");
  EXPECT_EQ(checkpoint->eos_token(), "</s>");
}

TEST(Directory, TemplatesOfAListAndAllSpecialTokens) {
  TempDir directory;
  ModelConfig config = TinyConfig();
  config.vocab_size = 20;
  ASSERT_TRUE(Synthesize(directory.path(), config, {}));
  Write(directory.File("tokenizer_config.json"),
        R"({"pad_token": "<p>", "unk_token": {"content": "<u>"}, "chat_template": [
            {"name": "default", "template": "d{{ pad_token }}{{ unk_token }}{{ cls_token }}"},
            {"name": "tool_use", "template": "t"}]})");
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const std::optional<ChatTemplateSource> chat = checkpoint->chat_template();
  ASSERT_TRUE(chat);
  EXPECT_EQ(chat->text, "d{{ pad_token }}{{ unk_token }}{{ cls_token }}");
  EXPECT_EQ(chat->tool_use, "t");
  EXPECT_EQ(chat->special_tokens, (SpecialTokens{{"unk_token", "<u>"}, {"pad_token", "<p>"}}));
  Write(directory.File("tokenizer_config.json"), R"({"chat_template": ["x"]})");
  EXPECT_FALSE(Checkpoint::Open(directory.path()));
}

}  // namespace
}  // namespace merope

// The files of a checkpoint's directory, and paths that are not checkpoints.
#include <gtest/gtest.h>

#include <filesystem>

#include "checkpoint/checkpoint.h"
#include "tests/checkpoint/support.h"

namespace merope {
namespace {

TEST(CheckpointLimits, ContextsAreCut) {
  TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(), {}));
  auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  for (const int64_t wrong : {0, 257})
    EXPECT_EQ(ErrorOf(checkpoint->LimitContext(wrong)),
              fmt::format("max_model_len: expected 1 to 256 (the checkpoint's "
                          "max_position_embeddings), found {}",
                          wrong));
  for (const int64_t length : {256, 100, 1}) {
    EXPECT_TRUE(checkpoint->LimitContext(length));
    EXPECT_EQ(checkpoint->config().max_position_embeddings, length);
  }
}

// A directory with one checkpoint. A test changes files of the directory.
class DirectoryFiles : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Synthesize(directory_.path(), TinyConfig(), {.max_shard_bytes = 100'000}));
  }
  std::string Error() const { return ErrorOf(Checkpoint::Open(directory_.path())); }
  std::string File(const char* name) const { return directory_.File(name); }
  void PatchIndex(const char* tensor, const std::optional<Json>& shard) const {
    const std::string file = File("model.safetensors.index.json");
    Json map = (*ParseJson(Read(file), file))["weight_map"];
    if (shard)
      map[tensor] = *shard;
    else
      map.erase(tensor);
    Patch(file, "weight_map", map);
  }

  TempDir directory_;
};

TEST_F(DirectoryFiles, TheIndexSaysWhichFileHoldsATensor) {
  const std::string index = File("model.safetensors.index.json");
  EXPECT_EQ(Error(), "(no error)");
  const std::string whole = Read(index);
  const std::string first = *ParseJson(whole, "")->at("weight_map").begin();
  for (const Json& shard : {Json("../" + first), Json("a/b.safetensors"), Json("model.bin"),
                            Json(7), Json(".safetensors/")}) {
    PatchIndex("model.norm.weight", shard);
    EXPECT_EQ(Error(), index +
                           ": weight_map: model.norm.weight: expected the name of a "
                           ".safetensors file, found " +
                           Describe(shard));
  }
  Write(index, whole);
  PatchIndex("model.norm.weight", std::nullopt);
  EXPECT_TRUE(Contains(Error(), index + ": weight_map: model.norm.weight: expected model-"));
  EXPECT_TRUE(Error().ends_with(" (it holds that tensor), found nothing"));
  Write(index, whole);
  PatchIndex("nothing", first);
  EXPECT_EQ(Error(), directory_.path() + "/" + first +
                         ": tensor \"nothing\": expected (the index names this file for it), found "
                         "nothing");
  Write(index, whole);
  // Buffers that old versions saved may be missing.
  for (const char* name :
       {"model.layers.0.self_attn.rotary_emb.inv_freq", "a.rotary_emb.cos_cached",
        "a.rotary_emb.sin_cached", "a.self_attn.masked_bias"})
    PatchIndex(name, first);
  EXPECT_EQ(Error(), "(no error)");
  for (const char* map : {"{}", "3"}) {
    Patch(index, "weight_map", Json::parse(map));
    EXPECT_EQ(Error(), index + ": weight_map: expected an object, found " +
                           (*map == '3' ? "3" : "an object"));
  }
  Patch(index, "weight_map", std::nullopt);
  EXPECT_EQ(Error(), index + ": weight_map: expected an object, found nothing");
}

TEST_F(DirectoryFiles, WhatIsMissingIsNamed) {
  ASSERT_TRUE(std::filesystem::remove(File("model.safetensors.index.json")));
  EXPECT_EQ(Error(),
            File("model.safetensors") + ": no such file, and no model.safetensors.index.json");
  for (const char* pickle : {"z.pt", "y.pth", "x.bin", "a.bin.index.json"}) {
    Write(File(pickle), "");
    EXPECT_TRUE(Contains(Error(), File(pickle) + ": PyTorch pickles are not supported"));
  }
  ASSERT_TRUE(std::filesystem::remove(File("config.json")));
  EXPECT_TRUE(Contains(Error(), File("config.json") + ": cannot open"));
  Write(File("adapter_config.json"), "{}");
  EXPECT_TRUE(Contains(Error(), "an adapter alone is not supported"));
  Write(File("b.gguf"), "");
  Write(File("a.gguf"), "");
  EXPECT_EQ(Error(), File("config.json") + ": no such file; to run a.gguf, name that file itself");
}

TEST_F(DirectoryFiles, EverySpecialTokenOfTransformers) {
  Write(File("tokenizer_config.json"),
        R"({"bos_token": "b", "eos_token": {"content": "e"}, "unk_token": "u", "sep_token": "s",
            "pad_token": "p", "cls_token": {"content": 3}, "mask_token": "", "other_token": "o"})");
  Write(File("special_tokens_map.json"),
        R"({"cls_token": "c", "mask_token": "m", "bos_token": "x"})");
  const auto checkpoint = Checkpoint::Open(directory_.path());
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  SpecialTokens expected = {{"bos_token", "b"}, {"eos_token", "e"}, {"unk_token", "u"},
                            {"sep_token", "s"}, {"pad_token", "p"}, {"cls_token", "c"},
                            {"mask_token", "m"}};
  EXPECT_EQ(checkpoint->special_tokens(), expected);
  EXPECT_EQ(checkpoint->pad_token(), "p");
  EXPECT_EQ(checkpoint->unk_token(), "u");
}

TEST_F(DirectoryFiles, ATemplateOfItsOwnGoesBeforeTheConfigurations) {
  const auto text = [&] {
    const auto checkpoint = Checkpoint::Open(directory_.path());
    EXPECT_TRUE(checkpoint) << ErrorOf(checkpoint);
    const std::optional<ChatTemplateSource> chat = checkpoint->chat_template();
    return chat ? chat->text + " of " + chat->file : "none";
  };
  Write(File("tokenizer_config.json"), R"({"chat_template": "config"})");
  EXPECT_EQ(text(), "config of " + File("tokenizer_config.json") + ": chat_template");
  Write(File("chat_template.jinja"), "file");
  EXPECT_EQ(text(), "file of " + File("chat_template.jinja"));
  std::filesystem::remove(File("chat_template.jinja"));
  Write(File("tokenizer_config.json"), R"({"chat_template": [{"name": "x", "template": "y"}]})");
  EXPECT_EQ(Error(), File("tokenizer_config.json") +
                         ": chat_template: expected one named \"default\" in the list, found none");
  Write(File("tokenizer_config.json"), R"({"chat_template": [3]})");
  EXPECT_EQ(Error(), File("tokenizer_config.json") +
                         ": chat_template: expected objects in the list, found 3");
}

TEST_F(DirectoryFiles, TokenizersOfOtherForms) {
  ASSERT_TRUE(std::filesystem::remove(File("tokenizer.json")));
  for (const char* name : {"vocab.json", "tokenizer.model", "spiece.model"}) {
    Write(File(name), "");
    const auto checkpoint = Checkpoint::Open(directory_.path());
    ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
    EXPECT_TRUE(checkpoint->has_tokenizer());
    EXPECT_TRUE(Contains(ErrorOf(checkpoint->LoadTokenizer()),
                         File(name) + ": this form of tokenizer is not supported"));
    std::filesystem::remove(File(name));
  }
}

// Every byte is a token, so Decode gives back every text.
TEST_F(DirectoryFiles, TheSynthesizedTokenizerTakesEveryText) {
  const auto tokenizer = LoadTokenizerFrom(directory_.path());
  ASSERT_TRUE(tokenizer) << ErrorOf(tokenizer);
  EXPECT_EQ(tokenizer->vocab_size(), 300);
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(tokenizer->TokenBytes(4 + byte), std::string(1, static_cast<char>(byte)));
  EXPECT_EQ(tokenizer->PrefixIds(), std::vector<int32_t>{2});
  const std::string text = "Hé ho, 日本 🙂\n\t\x01\x7f";
  EXPECT_EQ(*tokenizer->Decode(*tokenizer->Encode(text)), text);
}

TEST(CheckpointLimits, PathsThatAreNoCheckpoints) {
  TempDir directory;
  for (const auto& [name, part] : std::initializer_list<std::pair<const char*, const char*>>{
           {"a.safetensors", "name the directory that holds it"},
           {"a.json", "name the directory that holds it"},
           {"a.bin", "PyTorch pickles are not supported"},
           {"a.pt", "PyTorch pickles are not supported"},
           {"a.pth", "PyTorch pickles are not supported"},
           {"a.ckpt", "PyTorch pickles are not supported"},
           {"a.onnx", "expected a Hugging Face model's directory or a .gguf file"},
           {"a.model", "expected a Hugging Face model's directory or a .gguf file"},
           {"a.gguf", "magic: expected \"GGUF\""},
           {"none", "no such file or directory"}}) {
    const std::string path = directory.File(name);
    if (std::string_view(name) != "none") Write(path, "text");
    EXPECT_TRUE(Contains(ErrorOf(Checkpoint::Open(path)), path + ": "));
    EXPECT_TRUE(Contains(ErrorOf(Checkpoint::Open(path)), part));
  }
}

}  // namespace
}  // namespace merope

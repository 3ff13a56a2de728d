// Tokens that are only in the files beside tokenizer.json.
#include "checkpoint/tokenizer_files.h"

#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "tests/checkpoint/support.h"

namespace merope {
namespace {

class TokenizerFiles : public testing::Test {
 protected:
  void SetUp() override {
    Write(directory_.File("tokenizer.json"), R"({"added_tokens": [
        {"id": 2, "content": "<s>", "special": true}], "model": {"vocab": {"a": 0, "b": 1},
        "merges": []}, "decoder": {"type": "ByteLevel"}})");
  }
  std::vector<int32_t> Encode(std::string_view text) {
    const auto tokenizer = LoadTokenizerFrom(directory_.path());
    EXPECT_TRUE(tokenizer) << tokenizer.error().message;
    return tokenizer ? *tokenizer->Encode(text) : std::vector<int32_t>();
  }
  std::string Error() {
    const auto tokenizer = LoadTokenizerFrom(directory_.path());
    return tokenizer ? "no error" : tokenizer.error().message;
  }
  void Config(const std::string& json) { Write(directory_.File("tokenizer_config.json"), json); }

  TempDir directory_;
};

using Ids = std::vector<int32_t>;

TEST_F(TokenizerFiles, AddTokensBehindTheVocabulary) {
  EXPECT_EQ(Encode("a<x>b"), (Ids{0, 1}));
  Config(R"({"added_tokens_decoder": {"9": {"content": "<x>", "special": true}, "10":
      {"content": "<y>"}, "11": {"content": "b", "single_word": true}}, "pad_token": "<z>"})");
  EXPECT_EQ(Encode("a<x>b<y>a<z>b"), (Ids{0, 3, 1, 4, 0, 5, 1}));
  const auto tokenizer = LoadTokenizerFrom(directory_.path());
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  EXPECT_TRUE(tokenizer->IsSpecial(3));
  EXPECT_FALSE(tokenizer->IsSpecial(4));
  EXPECT_TRUE(tokenizer->IsSpecial(5));
}

TEST_F(TokenizerFiles, OldFilesCountWithoutADecoder) {
  Write(directory_.File("added_tokens.json"), R"({"<y>": 4, "<x>": 3})");
  Write(directory_.File("special_tokens_map.json"),
        R"({"eos_token": {"content": "<x>"}, "additional_special_tokens": ["<z>"]})");
  EXPECT_EQ(Encode("<x><y><z>"), (Ids{3, 4, 5}));
  EXPECT_TRUE(LoadTokenizerFrom(directory_.path())->IsSpecial(3));
  EXPECT_FALSE(LoadTokenizerFrom(directory_.path())->IsSpecial(4));
  Config(R"({"added_tokens_decoder": {}})");
  EXPECT_EQ(Encode("<x><y><z>"), Ids());
}

TEST_F(TokenizerFiles, SplitSpecialTokensAreText) {
  Config(R"({"split_special_tokens": true, "extra_special_tokens": ["<x>"]})");
  EXPECT_EQ(Encode("<s>a<x>b"), (Ids{0, 1}));
}

TEST_F(TokenizerFiles, FlagsOfTokens) {
  const auto one = [&](const std::string& flags) {
    Config(R"({"added_tokens_decoder": {"9": {"content": "<x>")" + flags + "}}}");
    const auto additions = ReadTokenizerAdditions(directory_.path());
    EXPECT_TRUE(additions) << additions.error().message;
    EXPECT_EQ(additions->tokens.size(), 1u);
    EXPECT_TRUE(additions->tokens[0].replaces);
    const AddedToken& token = additions->tokens[0].token;
    std::string set = token.content;
    if (token.special) set += " special";
    if (token.normalized) set += " normalized";
    if (token.lstrip) set += " lstrip";
    if (token.rstrip) set += " rstrip";
    if (token.single_word) set += " single";
    return set;
  };
  EXPECT_EQ(one(""), "<x> normalized");
  EXPECT_EQ(one(R"(, "special": true)"), "<x> special");
  EXPECT_EQ(one(R"(, "special": true, "normalized": true)"), "<x> special normalized");
  EXPECT_EQ(one(R"(, "normalized": false, "lstrip": true)"), "<x> lstrip");
  EXPECT_EQ(one(R"(, "normalized": false, "rstrip": true)"), "<x> rstrip");
  EXPECT_EQ(one(R"(, "normalized": false, "single_word": true)"), "<x> single");
}

TEST_F(TokenizerFiles, TheOrderOfWhatIsAdded) {
  const auto order = [&] {
    const auto additions = ReadTokenizerAdditions(directory_.path());
    EXPECT_TRUE(additions) << additions.error().message;
    std::string all;
    for (const auto& [token, replaces] : additions->tokens)
      all += (all.empty() ? "" : " ") + token.content + (token.special ? "!" : "");
    return all;
  };
  // First the tokens of added_tokens_decoder, in the order of their ids as numbers. Then the tokens
  // with a common name, the tokens with a name that only this model has, and the extra tokens.
  Config(R"({"own_token": "o", "mask_token": "m", "bos_token": "b", "extra_special_tokens": ["x"],
             "additional_special_tokens": ["y"], "added_tokens_decoder": {
             "10": {"content": "ten"}, "9": {"content": "nine"}, "11": {"content": "m"}}})");
  EXPECT_EQ(order(), "nine ten m! b! m! o! x!");
  Config(R"({"bos_token": "b", "model_specific_special_tokens": {"own_token": "o", "p": "q"}})");
  EXPECT_EQ(order(), "b! o! q!");
  Config(R"({"bos_token": "b", "my_token": "m", "model_specific_special_tokens": {"p": "q"}})");
  EXPECT_EQ(order(), "b! m!");
  Config(R"({"additional_special_tokens": ["y"], "extra_special_tokens": [], "bos_token": "b"})");
  EXPECT_EQ(order(), "b! y!");
  Write(directory_.File("special_tokens_map.json"),
        R"({"bos_token": "c", "extra_special_tokens": {"q": "z"},
            "additional_special_tokens": ["w"]})");
  EXPECT_EQ(order(), "c! y! z!");  // an entry of the map overrides the config
  Config("{}");
  EXPECT_EQ(order(), "c! z!");
  Write(directory_.File("added_tokens.json"), R"({"a": 2147483648})");
  EXPECT_EQ(Error(),
            directory_.path() + "/added_tokens.json: \"a\": expected a token id, found 2147483648");
  Write(directory_.File("added_tokens.json"), R"({"a": 2147483647, "z": 3})");
  EXPECT_EQ(order(), "z! a c! z!");
}

TEST_F(TokenizerFiles, PrefixesOfTheClassesThatHaveThem) {
  const auto said = [&](const std::string& fields) {
    Config("{" + fields + "}");
    const auto additions = ReadTokenizerAdditions(directory_.path());
    EXPECT_TRUE(additions) << additions.error().message;
    std::string all = additions->metaspace_scheme.value_or("");
    if (additions->byte_level_prefix) all += *additions->byte_level_prefix ? "space" : "none";
    return all;
  };
  EXPECT_EQ(said(R"("tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true)"), "space");
  EXPECT_EQ(said(R"("tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": false)"), "none");
  EXPECT_EQ(said(R"("tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": null)"), "");
  EXPECT_EQ(said(R"("tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true)"), "");
  EXPECT_EQ(said(R"("add_prefix_space": true)"), "");
  EXPECT_EQ(said(R"("tokenizer_class": "LlamaTokenizer")"), "first");
  const std::string llama = R"("tokenizer_class": "LlamaTokenizerFast", "add_prefix_space": )";
  EXPECT_EQ(said(llama + "null"), "first");
  EXPECT_EQ(said(llama + "true"), "first");
  EXPECT_EQ(said(llama + R"(true, "legacy": true)"), "always");
  EXPECT_EQ(said(llama + R"(false, "legacy": true)"), "never");
}

TEST_F(TokenizerFiles, APrefixGoesToByteLevelWhereverItStands) {
  Write(directory_.File("tokenizer.json"), R"({"model": {"vocab": {"a": 0, "\u0120": 1},
        "merges": []}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits"},
        {"type": "ByteLevel", "add_prefix_space": false}]}, "decoder": {"type": "ByteLevel"}})");
  EXPECT_EQ(Encode("a"), (Ids{0}));
  Config(R"({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true})");
  EXPECT_EQ(Encode("a"), (Ids{1, 0}));
  Config(R"({"tokenizer_class": "LlamaTokenizer", "add_prefix_space": true})");
  EXPECT_EQ(Encode("a"), (Ids{0}));  // Llama's prefix does not apply to byte-level tokenizers
  Write(directory_.File("tokenizer.json"), R"({"model": {"vocab": {"a": 0, "\u2581": 1},
        "merges": []}, "decoder": {"type": "ByteLevel"}})");
  EXPECT_EQ(Encode("a"), (Ids{0}));  // the same if only the decoder is byte-level
  Write(directory_.File("tokenizer.json"), R"({"model": {"vocab": {"a": 0, "\u2581": 1},
        "merges": []}, "decoder": {"type": "Fuse"}})");
  EXPECT_EQ(Encode("a"), (Ids{1, 0}));
}

TEST_F(TokenizerFiles, RefusesByName) {
  const auto expect = [&](const std::string& json, std::string_view part) {
    Config(json);
    const std::string message = Error();
    EXPECT_NE(message.find("tokenizer_config.json"), std::string::npos) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect("[]", "expected an object");
  expect(R"({"added_tokens_decoder": [1]})", "added_tokens_decoder: expected an object");
  expect(R"({"added_tokens_decoder": {"x": {"content": "<x>"}}})", "expected token ids");
  for (const char* id : {"", "-1", "1234567890", "1/", "1:"})
    expect(std::string(R"({"added_tokens_decoder": {")") + id + R"(": {"content": "<x>"}}})",
           std::string("added_tokens_decoder: expected token ids, found \"") + id + "\"");
  expect(R"({"added_tokens_decoder": {"3": {"content": 1}}})", "3: content");
  expect(R"({"added_tokens_decoder": {"3": 4}})", "expected a token");
  expect(R"({"extra_special_tokens": "<x>"})", "extra_special_tokens: expected an array");
  expect(R"({"split_special_tokens": 1})", "split_special_tokens");
  expect(R"({"add_prefix_space": 1})", "add_prefix_space");
}

}  // namespace
}  // namespace merope

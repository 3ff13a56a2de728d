// Small handmade tokenizers.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace merope {

using Ids = std::vector<int32_t>;

// A tokenizer.json with a byte-level model of a few letters. added: the list of added tokens. more:
// further members of the file. model: further members of the model.
inline std::string ByteLevelJson(const std::string& added = "", const std::string& more = "",
                                 const std::string& model = "") {
  return R"({"added_tokens": [)" + added + R"(], "pre_tokenizer":
    {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"}, )" +
         more + R"("model": {"type": "BPE", )" + model +
         R"("vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "bc": 5, "abc": 6, "Ġa": 7,
                      "Ã": 8, "©": 9, "Ã©": 10, "aa": 11, "aaaa": 12, "<x>": 13},
            "merges": ["b c", ["a", "b"], "a bc", "Ġ a", "Ã ©", "a a", "aa aa"]}})";
}

inline Tokenizer Make(const std::string& json) {
  auto tokenizer = Tokenizer::FromJson(json, "t.json");
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return *std::move(tokenizer);
}

inline std::string ErrorOf(const std::string& json) {
  const auto tokenizer = Tokenizer::FromJson(json, "t.json");
  return tokenizer ? "no error" : tokenizer.error().message;
}

inline constexpr const char* kSpecial = R"({"id": 13, "content": "<x>", "special": true})";

inline GgufVocabulary SentencePiece() {
  return {.model = "llama",
          .pre = "",
          .tokens = {"<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "\u2581", "a", "b", "ab",
                     "\u2581a", "xy"},
          .scores = {0, 0, 0, 0, 0, -5, -6, -7, -1, -2, -3},
          .types = {2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1},
          .merges = {},
          .bos = 1,
          .eos = 2,
          .unknown = 0,
          .padding = std::nullopt,
          .add_bos = std::nullopt,
          .add_eos = std::nullopt,
          .add_space_prefix = std::nullopt};
}

}  // namespace merope

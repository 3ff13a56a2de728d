// Tokenizer files: their limits, and the errors of refused files.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <tuple>

#include "tests/text/tokenizers.h"
#include "text/regex.h"

namespace merope {
namespace {

TEST(TokenizerJson, RefusesByName) {
  const auto expect = [](const std::string& json, std::string_view part) {
    const std::string message = ErrorOf(json);
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.rfind("t.json", 0), 0) << message;
  };
  expect("", "invalid JSON");
  expect("[]", "expected an object");
  expect("{}", "model");
  expect(std::string(100000, '['), "t.json");
  expect(ByteLevelJson("", R"("normalizer": {"type": "Nmt"}, )"), "the normalizer Nmt");
  expect(ByteLevelJson("", R"("post_processor": {"type": "RobertaProcessing"}, )"),
         "RobertaProcessing");
  expect(ByteLevelJson("", "", R"("dropout": 0.1, )"), "dropout");
  expect(ByteLevelJson("", "", R"("end_of_word_suffix": "</w>", )"), "end_of_word_suffix");
  expect(ByteLevelJson(R"({"id": 2000000000, "content": "<y>"})"), "expected an id in");
  expect(ByteLevelJson(R"({"id": 0, "content": "<y>"})"), "the id 0 is given to");
  expect(ByteLevelJson(R"({"id": 14, "content": "a"})"), "expected the id 0");
  expect(ByteLevelJson(R"({"id": 14, "content": ""})"), "content");
  expect(ByteLevelJson(R"({"id": -1, "content": "z"})"), "id");
  const auto model = [](const std::string& inner) {
    return R"({"model": {"type": "BPE", )" + inner + "}}";
  };
  expect(R"({"model": {"type": "Unigram"}})", "the model Unigram");
  expect(model(R"("vocab": {"a": 0}, "merges": ["a b"])"), "merges[0]");
  expect(model(R"("vocab": {"a": 0}, "merges": ["a a"])"), "\"aa\"");
  expect(model(R"("vocab": {"a": 0}, "merges": [["", "a"]])"), "merges[0]");
  expect(model(R"("vocab": {"a": 0}, "merges": [1])"), "merges[0]");
  expect(model(R"("vocab": {"a": 0, "b": 0}, "merges": [])"), "the id 0 is given to");
  expect(model(R"("vocab": {"a": -1}, "merges": [])"), "expected an id");
  expect(model(R"("vocab": {"a": 1.5}, "merges": [])"), "expected an id");
  expect(model(R"("vocab": ["a"], "merges": [])"), "expected an object");
}

TEST(TokenizerJson, ReadsPatternsInOnigurumasDialect) {
  const auto split = [](const char* regex, std::string_view text) -> std::string {
    const auto matcher = RegexMatcher(regex, "t.json");
    if (!matcher) return matcher.error().message;
    std::vector<TextRange> matches;
    if (const auto status = (*matcher)(text, &matches); !status) return status.error().message;
    std::string found;
    for (const auto& [begin, end] : matches) {
      found.append(found.empty() ? "" : "|").append(text.substr(begin, end - begin));
    }
    return found;
  };
  EXPECT_EQ(split("[a[b-d]]+", "xabcdy[]"), "abcd");
  EXPECT_EQ(split("[a-z&&[^aeiou]]+", "hello"), "h|ll");
  EXPECT_EQ(split("\\h+", "xyzAF09 \t"), "AF09");  // hexadecimal digits, not white space
  EXPECT_EQ(split("^.|.$", "ab\ncd"), "a|b|c|d");
  EXPECT_EQ(split("xa{,2}y", "xy xaay xaaay"), "xy|xaay");
  EXPECT_EQ(split("\\w+", "na\u00EFve \u65E5\u672C"), "na\u00EFve|\u65E5\u672C");
  EXPECT_EQ(split("(?<n>a)\\k<n>", "aaa"), "aa");
  EXPECT_EQ(split("a*", ""), "");
  EXPECT_EQ(split("a*|b", "aab"), "aa|");  // no empty match directly after another match
}

TEST(TokenizerJson, BoundsTheWorkOfPatterns) {
  const auto fails = [](const std::string& regex) {
    const auto matcher = RegexMatcher(regex, "t.json: pattern");
    return matcher ? "no error" : matcher.error().message;
  };
  const auto nested = [](size_t n) { return std::string(n, '(') + "a" + std::string(n, ')'); };
  EXPECT_EQ(fails(nested(60)), "no error");
  EXPECT_TRUE(fails(nested(5000)).starts_with("t.json: pattern: ")) << fails(nested(5000));
  EXPECT_NE(fails("(a").find("\"(a\""), std::string::npos);
  EXPECT_NE(fails(std::string(70000, 'a')).find("at most 65536 bytes"), std::string::npos);
  EXPECT_NE(fails(std::string(30000, '[') + "a").find("t.json"), std::string::npos);
  for (const char* slow : {"(x+x+)+[yz]", "(?:x|x)+y"}) {
    const auto matcher = RegexMatcher(slow, "t.json: pattern");
    ASSERT_TRUE(matcher);
    std::vector<TextRange> matches;
    const auto status = (*matcher)(std::string(60, 'x'), &matches);
    ASSERT_FALSE(status) << slow;
    EXPECT_TRUE(status.error().message.starts_with("t.json: pattern: ")) << status.error().message;
  }
}

TEST(TokenizerJson, LimitsOfPatternsAtTheirBoundaries) {
  const auto error = [](const std::string& regex) {
    const auto matcher = RegexMatcher(regex, "t.json");
    return matcher ? "no error" : matcher.error().message;
  };
  // Oniguruma's parser may use 512 levels. A group takes two levels, a class in a class takes one
  // level, and the innermost element takes levels, too.
  const auto nested = [](size_t n, char open, char close) {
    return std::string(n, open) + "a" + std::string(n, close);
  };
  EXPECT_EQ(error(nested(255, '(', ')')), "no error");
  EXPECT_NE(error(nested(256, '(', ')')), "no error");
  EXPECT_EQ(error(nested(510, '[', ']')), "no error");
  EXPECT_NE(error(nested(511, '[', ']')), "no error");
  EXPECT_EQ(error(std::string(65536, 'a')), "no error");
  EXPECT_EQ(error(std::string(65537, 'a')),
            "t.json: expected a regular expression of at most 65536 bytes, found 65537");
  // An error shows 256 bytes of the pattern. If the cut is inside a character, it shows the whole
  // character.
  const std::string shown = "(" + std::string(255, 'a');
  EXPECT_NE(error(shown).find('"' + shown + "\" ("), std::string::npos) << error(shown);
  EXPECT_NE(error(shown + "b").find('"' + shown + "…\" ("), std::string::npos);
  const std::string cut = "(" + std::string(254, 'a') + "é";
  EXPECT_NE(error(cut + "b").find('"' + cut + "…\" ("), std::string::npos) << error(cut + "b");

  const auto find = [](const char* regex, const std::string& text) -> std::string {
    std::vector<TextRange> matches;
    const auto status = (*RegexMatcher(regex, "t.json"))(text, &matches);
    return status ? std::to_string(matches.size()) : status.error().message;
  };
  std::string text(size_t{64} << 20, 'a');
  EXPECT_EQ(find("\\Gb", text), "0");
  text += 'a';
  EXPECT_EQ(
      find("\\Gb", text),
      "t.json: the regular expression is for texts of at most 67108864 bytes, found 67108865");
  // \G matches at the place where the search began, also in long texts.
  EXPECT_EQ(find("\\Ga", "b" + std::string(300, 'a')), "0");
  EXPECT_EQ(find("\\Ga", std::string(300, 'a')), "300");
  EXPECT_EQ(find("a+", "b" + std::string(300, 'a') + "ba"), "2");
  EXPECT_EQ(find("é", std::string(300, 'a') + "éaé"), "2");
}

TEST(TokenizerJson, LimitsOfIdsAndCounts) {
  const auto model = [](const std::string& inner) {
    return ErrorOf(R"({"model": {"type": "BPE", )" + inner + "}}");
  };
  EXPECT_EQ(model(R"("vocab": {"a": 2147483647}, "merges": [])"),
            "t.json: model: vocab: \"a\": expected an id in [0, 65538), found 2147483647");
  EXPECT_EQ(model(R"("vocab": {"a": 2147483648}, "merges": [])"),
            "t.json: model: vocab: \"a\": expected an id, found 2147483648");
  // The limit of ids is two for each token, plus 65,536 for unused ids.
  EXPECT_EQ(model(R"("vocab": {"a": 65538}, "merges": [])"),
            "t.json: model: vocab: \"a\": expected an id in [0, 65538), found 65538");
  EXPECT_EQ(model(R"("vocab": {"a": 65537}, "merges": [])"), "no error");
  EXPECT_EQ(model(R"("vocab": {"": 0}, "merges": [])"),
            "t.json: model: vocab: expected no empty token");
  EXPECT_EQ(model(R"("vocab": {"a": 0})"), "t.json: model: merges: expected an array");
  EXPECT_EQ(model(R"("vocab": {"a": 0}, "merges": ["a b c"])"),
            "t.json: model: merges[0]: expected a pair of tokens, found the string \"a b c\"");
  EXPECT_EQ(model(R"("vocab": {"a": 0, "aa": 1}, "merges": ["a a", ["a", "a", "a"]])"),
            "t.json: model: merges[1]: expected a pair of tokens, found an array of 3");
  EXPECT_EQ(model(R"("vocab": {"a": 0}, "merges": [], "dropout": 0, "end_of_word_suffix": "")"),
            "no error");
  const auto post = [](int id) {
    return ErrorOf(ByteLevelJson(kSpecial, R"("post_processor": {"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "x"}}],
        "special_tokens": {"x": {"ids": [)" + std::to_string(id) +
                                               R"(]}}}, )"));
  };
  EXPECT_EQ(post(13), "no error");
  EXPECT_EQ(post(14), "t.json: post_processor: expected ids in [0, 14), found 14");
  const auto added = [](const std::string& token) { return ErrorOf(ByteLevelJson(token)); };
  EXPECT_EQ(added("3"), "t.json: added_tokens[0]: expected an object, found 3");
  EXPECT_EQ(added(std::string(kSpecial) + R"(, {"id": 14})"),
            "t.json: added_tokens[1]: content: expected a string, found nothing");
  EXPECT_EQ(added(R"({"content": "y"})"),
            "t.json: added_tokens[0]: id: expected an integer, found nothing");
  EXPECT_EQ(added(R"({"id": 14, "content": "y"}, {"id": 15, "content": "y"})"),
            "t.json: added_tokens: expected \"y\" once");
}

TEST(TokenizerJson, IgnoreMergesTakesWholeTokens) {
  const std::string word(40, 'b');
  const Tokenizer t = Make(R"({"pre_tokenizer": {"type": "WhitespaceSplit"}, "model": {"vocab":
      {"ab": 0, "a": 1, "b": 2, ")" +
                           word + R"(": 3}, "merges": [], "ignore_merges": true}})");
  EXPECT_EQ(*t.Encode("ab a ba " + word), (Ids{0, 1, 2, 1, 3}));
}

TEST(TokenizerJson, Additions) {
  const auto add = [](std::vector<TokenizerAdditions::Token> tokens) {
    TokenizerAdditions additions;
    additions.tokens = std::move(tokens);
    auto t = Tokenizer::FromJson(ByteLevelJson(kSpecial), "t.json", additions);
    EXPECT_TRUE(t) << t.error().message;
    return *std::move(t);
  };
  const Tokenizer t = add({{.token = {.content = "<y>", .special = true}, .replaces = false},
                           {.token = {.content = ""}, .replaces = false},
                           {.token = {.content = "abc", .special = true}, .replaces = false},
                           {.token = {.content = "<x>", .rstrip = true}, .replaces = true},
                           {.token = {.content = "<z>"}, .replaces = false}});
  EXPECT_EQ(t.vocab_size(), 16);
  EXPECT_EQ(t.TokenToId("<y>"), 14);
  EXPECT_EQ(t.TokenToId("<z>"), 15);
  EXPECT_TRUE(t.IsSpecial(14));
  EXPECT_TRUE(t.IsSpecial(6));   // already a token of the model
  EXPECT_TRUE(t.IsSpecial(13));  // the new <x> is not special; HF keeps the id special
  EXPECT_EQ(*t.Encode("<x> a"), (Ids{13, 0}));
  EXPECT_FALSE(t.IsSpecial(15));
  EXPECT_FALSE(t.IsSpecial(16));
  EXPECT_FALSE(t.IsSpecial(-1));
  EXPECT_TRUE(add({{.token = {.content = "<x>"}, .replaces = false}}).IsSpecial(13));
  EXPECT_EQ(*t.Encode("a<y>abc<z>"), (Ids{0, 14, 6, 15}));
}

TEST(TokenizerJson, BoundsRegularExpressionsAndGrowth) {
  const auto with = [](const std::string& steps) {
    return R"({)" + steps + R"("model": {"vocab": {"a": 0}, "merges": []}})";
  };
  EXPECT_NE(ErrorOf(with(R"("pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"},
                             "behavior": "Isolated", "invert": false}, )"))
                .find("regular expression"),
            std::string::npos);
  const Tokenizer slow = Make(with(R"("pre_tokenizer": {"type": "Split", "invert": false,
      "pattern": {"Regex": "(x+x+)+[yz]"}, "behavior": "Isolated"}, )"));
  EXPECT_FALSE(slow.Encode(std::string(60, 'x')));
  const Tokenizer growing =
      Make(with(R"("normalizer": {"type": "Replace", "pattern": {"String": "a"}, "content": ")" +
                std::string(100000, 'a') + R"("}, )"));
  EXPECT_FALSE(growing.Encode(std::string(1000, 'a')));
}

TEST(TokenizerGguf, MergesByScoreWithByteFallback) {
  auto t = Tokenizer::FromGguf(SentencePiece(), "t.gguf");
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_EQ(*t->Encode("ab"), (Ids{5, 8}));  // "ab" has the higher score than "▁a"
  EXPECT_EQ(*t->Encode("a"), (Ids{9}));
  EXPECT_EQ(*t->Encode("é"), (Ids{5, 3, 4}));
  EXPECT_EQ(*t->Encode("xy"), (Ids{5, 10}));  // "x" and "y" are not tokens, but "xy" is
  EXPECT_EQ(*t->Encode("x"), (Ids{5, 0}));
  EXPECT_EQ(*t->Encode("a</s>a"), (Ids{9, 2, 9}));
  EXPECT_EQ(*t->Encode("a", {.add_special = true}), (Ids{1, 9}));
  EXPECT_EQ(*t->Decode(Ids{1, 9, 3, 4, 9}), "aé a");
  EXPECT_EQ(t->TokenBytes(9), " a");
  EXPECT_EQ(t->vocab_size(), 11);
}

TEST(TokenizerGguf, MergesOfAByteLevelModel) {
  const auto ids = [](std::vector<std::string> merges) {
    GgufVocabulary v = SentencePiece();
    v.model = "gpt2";
    v.pre = "gpt-2";
    v.tokens = {"a", "b", "c", "ab", "bc"};
    v.scores.clear();
    v.types.clear();
    v.bos = v.eos = v.unknown = std::nullopt;
    v.merges = std::move(merges);
    const auto t = Tokenizer::FromGguf(std::move(v), "t.gguf");
    EXPECT_TRUE(t) << t.error().message;
    return *t->Encode("abc");
  };
  EXPECT_EQ(ids({"a b", "b c"}), (Ids{3, 2}));
  EXPECT_EQ(ids({"b c", "a b"}), (Ids{0, 4}));
  EXPECT_EQ(ids({"a b", "b c", "a b"}), (Ids{3, 2}));
}

TEST(TokenizerGguf, MergesOfAModelThatSpellsSpacesAndBytes) {
  for (const auto& [model, pre, ids] : {std::tuple("gpt2", "sarvam-moe", Ids{7, 8, 8, 3, 4}),
                                        {"gpt2", "gemma4", Ids{1, 7, 9, 3, 4}},
                                        {"gemma4", "", Ids{1, 7, 9, 3, 4}}}) {
    GgufVocabulary v = SentencePiece();
    v.model = model;
    v.pre = pre;
    v.tokens = {"<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "▁", "a", "▁a", "\n", "\n\n"};
    v.scores.clear();
    v.types.clear();
    v.merges = {"▁ a"};
    v.add_bos = false;  // Gemma 4 adds BOS anyway
    const auto t = Tokenizer::FromGguf(std::move(v), "t.gguf");
    ASSERT_TRUE(t) << t.error().message;
    EXPECT_EQ(*t->Encode(" a\n\né", {.add_special = true}), ids) << pre;
    EXPECT_EQ(*t->Encode("x"), Ids{}) << pre;
    EXPECT_EQ(*t->Decode(Ids{7, 9, 3, 4}), " a\n\né");
  }
}

TEST(TokenizerGguf, BeginningAndEnd) {
  const auto ids = [](auto change) {
    GgufVocabulary v = SentencePiece();
    change(v);
    const auto t = Tokenizer::FromGguf(std::move(v), "t.gguf");
    EXPECT_TRUE(t) << t.error().message;
    return *t->Encode("a", {.add_special = true});
  };
  EXPECT_EQ(ids([](auto& v) { v.add_eos = true; }), (Ids{1, 9, 2}));
  EXPECT_EQ(ids([](auto& v) { v.add_bos = false; }), (Ids{9}));
  EXPECT_EQ(ids([](auto& v) { v.bos.reset(); }), (Ids{9}));
  EXPECT_EQ(ids([](auto& v) { v.add_space_prefix = false; }), (Ids{1, 6}));
  const auto error = [](auto change) {
    GgufVocabulary v = SentencePiece();
    change(v);
    return Tokenizer::FromGguf(std::move(v), "t.gguf").error().message;
  };
  EXPECT_EQ(error([](auto& v) {
              v.bos.reset();
              v.add_bos = true;
            }),
            "t.gguf: tokenizer.ggml.bos_token_id: expected, found nothing");
  EXPECT_EQ(error([](auto& v) {
              v.eos.reset();
              v.add_eos = true;
            }),
            "t.gguf: tokenizer.ggml.eos_token_id: expected, found nothing");
  EXPECT_EQ(error([](auto& v) { v.scores.clear(); }),
            "t.gguf: tokenizer.ggml.scores: expected, found nothing");
  EXPECT_EQ(error([](auto& v) { v.scores[3] = std::nanf(""); }),
            "t.gguf: tokenizer.ggml.scores: expected numbers, found NaN");
  EXPECT_EQ(error([](auto& v) { v.tokens[6] = std::string(1025, 'a'); }),
            "t.gguf: tokenizer.ggml.tokens[6]: expected at most 1024 bytes, found 1025");
  for (const int32_t id : {-1, 11})
    EXPECT_EQ(error([id](auto& v) { v.padding = id; }),
              "t.gguf: tokenizer.ggml.padding_token_id: expected an id in [0, 11), found " +
                  std::to_string(id));
}

TEST(TokenizerGguf, RefusesByName) {
  const auto error = [](auto change) -> std::string {
    GgufVocabulary v = SentencePiece();
    change(v);
    const auto t = Tokenizer::FromGguf(std::move(v), "t.gguf");
    return t ? "no error" : t.error().message;
  };
  const auto expect = [](const std::string& message, std::string_view part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(error([](auto& v) { v.model = "bert"; }), "tokenizer.ggml.model");
  expect(error([](auto& v) { v.scores.pop_back(); }), "tokenizer.ggml.scores");
  expect(error([](auto& v) { v.types.pop_back(); }), "tokenizer.ggml.token_type");
  expect(error([](auto& v) { v.tokens[6] = "\xFF"; }), "tokenizer.ggml.tokens[6]");
  expect(error([](auto& v) { v.tokens[6] = "b"; }), "is at 6 and at 7");
  expect(error([](auto& v) { v.bos = 11; }), "tokenizer.ggml.bos_token_id");
  expect(error([](auto& v) { v.tokens.clear(); }), "tokenizer.ggml.tokens");
  expect(error([](auto& v) {
           v.model = "gpt2";
           v.pre = "no-such-split";
         }),
         "tokenizer.ggml.pre: the split \"no-such-split\" is not supported");
  expect(error([](auto& v) {
           v.model = "gpt2";
           v.pre = "smollm";
           v.merges = {"a q"};
         }),
         "tokenizer.ggml.merges[0]");
}

}  // namespace
}  // namespace merope

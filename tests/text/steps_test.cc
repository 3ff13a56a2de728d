// Compares single steps of tokenizers with the results of HF tokenizers, and the hand-written
// splitters with Oniguruma.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "base/utf8.h"
#include "tests/support/expect.h"
#include "text/gguf_splits.h"
#include "text/json_steps.h"
#include "text/regex.h"
#include "text/splitters.h"
#include "text/tokenizer.h"

namespace merope {
namespace {

std::vector<std::string> PiecesOf(const std::vector<PreTokenizer>& steps, const std::string& text) {
  Pieces pieces{.text = text, .ends = {}};
  if (!text.empty()) pieces.ends.push_back(text.size());
  for (const PreTokenizer& step : steps) {
    const Status done = step(&pieces);
    EXPECT_TRUE(done) << ErrorOf(done);
  }
  std::vector<std::string> all;
  for (size_t i = 0; i < pieces.size(); ++i) all.emplace_back(pieces[i]);
  return all;
}

Json Outcome(const Json& kind, const Json& step, const Json& input) {
  if (kind == "norm") {
    std::vector<Normalizer> steps;
    const Status read = ReadNormalizer(&step, "f", &steps);
    EXPECT_TRUE(read) << ErrorOf(read);
    auto text = input.get<std::string>();
    for (const Normalizer& normalizer : steps) EXPECT_TRUE(normalizer(&text));
    return text;
  }
  if (kind == "pre") {
    PreTokenizerSteps steps;
    const Status read = ReadPreTokenizer(&step, "f", &steps);
    EXPECT_TRUE(read) << ErrorOf(read);
    EXPECT_EQ(steps.ends_in_bytes, step["type"] == "ByteLevel");
    return PiecesOf(steps.steps, input.get<std::string>());
  }
  if (kind == "enc") {
    const auto tokenizer = Tokenizer::FromJson(step.dump(), "f");
    EXPECT_TRUE(tokenizer) << ErrorOf(tokenizer);
    Json ids = Json::array();
    for (const Json& text : input) ids.push_back(*tokenizer->Encode(text.get<std::string>()));
    return ids;
  }
  Decoder decoder;
  const Status read = ReadDecoder(&step, "f", &decoder);
  EXPECT_TRUE(read) << ErrorOf(read);
  DecodeState state;
  decoder.Start(&state);
  std::string text;
  for (const Json& token : input) decoder.Push(token.get<std::string>(), &state, &text);
  decoder.Finish(&state, &text);
  return text;
}

// Each line of the file is [kind, step, input, result of HF tokenizers 0.22].
TEST(Steps, GiveWhatHfTokenizersGives) {
  std::ifstream file(MEROPE_SOURCE_DIR "/tests/text/steps_cases.jsonl");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const Json json = Json::parse(line);
    EXPECT_EQ(Outcome(json[0], json[1], json[2]), json[3]) << line;
  }
  EXPECT_GT(cases, 100);
}

// Makes a text of parts that the splits treat differently.
std::string RandomText(std::mt19937* random) {
  static const std::vector<std::string> parts = {
      "a",  "b",      "s", "t",  "re", "ve",       "ll", "A",      "B",      "S", "LL", "1",
      "2",  "\u00BD", " ", " ",  "\n", "\r",       "\t", "'",      "'",      "/", ".",  "!",
      "$",  "é",      "É", "日", "ſ",  "\xC7\x85", "ʰ",  "\u0301", "\u3000", "½", "٣",  "_",
      "'s", "'LL",    "'", "'ſ", "K",  "e",        "E",  "v",      "M",      "d", "`",  "+"};
  std::string text;
  for (unsigned n = 1 + (*random)() % 14; n > 0; --n) text += parts[(*random)() % parts.size()];
  return text;
}

std::vector<std::string> Split(const Matcher& matcher, const std::string& text) {
  return PiecesOf({pre_tokenizers::Split(matcher, SplitBehavior::kIsolated, false)}, text);
}

void ExpectSame(const Matcher& ours, const std::string& regex) {
  const auto theirs = RegexMatcher(regex, "f");
  ASSERT_TRUE(theirs) << ErrorOf(theirs);
  std::mt19937 random(1);
  for (int i = 0; i < 1500; ++i) {
    const std::string text = RandomText(&random);
    ASSERT_EQ(Split(ours, text), Split(*theirs, text)) << regex << "\n" << text;
  }
}

const std::string kTail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kSlashTail = R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kCapital = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])";
const std::string kSmall = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
const std::string kLead = R"([^\r\n\p{L}\p{N}]?)";
const std::string kContractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";

std::string Cased(const std::string& capital, const std::string& small, const std::string& after,
                  const std::string& digits) {
  return kLead + capital + "*" + small + "+" + after + "|" + kLead + capital + "+" + small + "*" +
         after + "|" + digits + kSlashTail;
}

TEST(Splitters, AreTheRegularExpressionsThatTheyStandFor) {
  const std::string llama3 = kContractions + "|" + kLead + R"(\p{L}+|)";
  for (const std::string& regex :
       {std::string(
            R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
        llama3 + R"(\p{N}{1,3})" + kTail, llama3 + R"(\p{N})" + kTail, llama3 + R"(\p{N}+)" + kTail,
        Cased(kCapital, kSmall, "", R"(\p{N})"),
        Cased(kCapital, kSmall, kContractions + "?", R"(\p{N}{1,3})")}) {
    const auto known = KnownSplitter(regex);
    ASSERT_TRUE(known) << regex;
    ExpectSame(*known, regex);
  }
  EXPECT_FALSE(KnownSplitter(llama3 + R"(\p{N}{1,2})" + kTail));
  EXPECT_FALSE(KnownSplitter(llama3));
  EXPECT_FALSE(KnownSplitter(""));
}

// The splits of llama.cpp: letters beyond ASCII have no case, and 'ſ is not a contraction.
TEST(Splitters, OfGgufFiles) {
  const std::string contractions = "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])";
  const std::string llama3 = contractions + "|" + kLead + R"(\p{L}+|)";
  const std::string capital = R"([\p{L}&&[^a-z]])", small = R"([\p{L}&&[^A-Z]])";
  ExpectSame(Llama3Splitter({.max_digits = 3, .long_s = false}), llama3 + R"(\p{N}{1,3})" + kTail);
  ExpectSame(Llama3Splitter({.max_digits = 1, .long_s = false}), llama3 + R"(\p{N})" + kTail);
  ExpectSame(CasedSplitter({.max_digits = 1, .ascii_case = true}),
             Cased(capital, small, "", R"(\p{N})"));
  ExpectSame(
      CasedSplitter({.max_digits = 3, .contractions = true, .long_s = false, .ascii_case = true}),
      Cased(capital, small, "(?:" + contractions + ")?", R"(\p{N}{1,3})"));
}

TEST(Splitters, DigitsInGroups) {
  const auto is_digit = [](char32_t c) { return c >= '0' && c <= '9'; };
  const auto split = [&](const std::string& text, bool whole_only) {
    std::string all;
    for (const std::string& piece : Split(DigitRuns(is_digit, 3, whole_only), text))
      all += (all.empty() ? "" : "|") + piece;
    return all;
  };
  EXPECT_EQ(split("1234567a12", false), "123|456|7|a|12");
  EXPECT_EQ(split("1234567a12", true), "123|456|7a12");
  EXPECT_EQ(split("a123", true), "a|123");
  EXPECT_EQ(split("é12", false), "é|12");
  EXPECT_EQ(split("", false), "");
}

TEST(Splitters, NumbersInGroupsFromTheEnd) {
  const auto split = [](const std::string& text) { return Split(TrailingTriples(), text); };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split("1234567a12"), (Pieces{"1", "234", "567", "a12"}));
  EXPECT_EQ(split("ab12345 "), (Pieces{"ab12", "345", " "}));
  EXPECT_EQ(split("123\u0661\u0662\u0663"), (Pieces{"123", "\u0661\u0662\u0663"}));
  EXPECT_EQ(split("ab"), Pieces{"ab"});
}

TEST(GgufSplits, OfEachKind) {
  struct Case {
    const char *name, *text;
    std::vector<std::string> pieces;
    bool ignore_merges, add_bos;
  };
  // One name of each kind in llama.cpp's list.
  for (const auto& [name, text, pieces, ignore_merges, add_bos] : std::vector<Case>{
           {"gpt-2", "a's 1234", {"a", "'s", " 1234"}, false, false},
           {"smollm", "a 12", {"a", " ", "1", "2"}, false, false},
           {"llama-bpe", "a 1234", {"a", " ", "123", "4"}, true, true},
           {"dbrx", "a 1234", {"a", " ", "123", "4"}, false, false},
           {"glm4", "a'S1234", {"a", "'S", "123", "4"}, true, false},
           {"qwen2", "a 12", {"a", " ", "1", "2"}, false, false},
           {"minicpm5", "a1234", {"a", "123", "4"}, true, false},
           {"tekken", "aB's12", {"a", "B", "'s", "1", "2"}, true, true},
           {"gpt-4o", "aB's1234", {"a", "B's", "123", "4"}, false, false},
           {"falcon", "a`b 1234", {"a", "`", "b", " ", "123", "4"}, false, false},
           {"", "a`b$ 1234", {"a", "`", "b", "$", " ", "123", "4"}, false, false},
           {"default", "a!! b", {"a", "!!", " b"}, false, false},
           {"deepseek-coder", "ab1, cd", {"ab", "1", ",", " cd"}, false, false},
           {"bloom", "ab cd", {"ab", " cd"}, false, false},
           {"viking", "ab12", {"ab", "1", "2"}, false, false},
           {"sarvam-moe", "a 1\n\nb", {"a 1", "\n\n", "b"}, false, false},
           {"gemma4", "a 1\n\nb", {"a 1", "\n\n", "b"}, false, false},
           {"jina-v2-code", "a's 1234", {"a", "'s", " 1234"}, false, false},
           {"afmoe",
            "a \u4E00b  1234",
            {"a", " ", "\u4E00", "b", " ", " ", "1", "234"},
            false,
            false},
           {"tiny_aya", "a'S1234/", {"a'S", "1", "234", "/"}, false, false},
           {"kimi-k2", "a'S\u4E00b1234", {"a'S", "\u4E00", "b", "123", "4"}, false, false},
       }) {
    const auto split = ReadGgufSplit(name, "f");
    ASSERT_TRUE(split) << ErrorOf(split);
    EXPECT_EQ(PiecesOf(split->steps, text), pieces) << name;
    EXPECT_EQ(split->ignore_merges, ignore_merges) << name;
    EXPECT_EQ(split->add_bos, add_bos) << name;
  }
  EXPECT_EQ(ErrorOf(ReadGgufSplit("none", "f")),
            "f: tokenizer.ggml.pre: the split \"none\" is not supported");
}

TEST(Steps, WhatIsNotKnownIsRefusedByName) {
  const auto error = [](const char* kind, const char* step) {
    const Json json = Json::parse(step);
    std::vector<Normalizer> normalizers;
    PreTokenizerSteps steps;
    PostProcessor post;
    Decoder decoder;
    return ErrorOf(*kind == 'n'   ? ReadNormalizer(&json, "f", &normalizers)
                   : *kind == 'p' ? ReadPreTokenizer(&json, "f", &steps)
                   : *kind == 't' ? ReadPostProcessor(&json, "f", &post)
                                  : ReadDecoder(&json, "f", &decoder));
  };
  struct Case {
    const char *kind, *step, *expected;
  };
  for (const auto& [kind, step, expected] : std::initializer_list<Case>{
           {"n", R"({"type": "Nmt"})", "f: the normalizer Nmt is not supported"},
           {"n", R"({})", "f: type: expected a string, found nothing"},
           {"n", R"({"type": "Sequence"})", "f: normalizers: expected an array, found nothing"},
           {"n", R"({"type": "Sequence", "normalizers": 3})",
            "f: normalizers: expected an array, found 3"},
           {"n", R"({"type": "Prepend"})", "f: prepend: expected a string, found nothing"},
           {"n", R"({"type": "Replace", "content": "x"})",
            "f: pattern: expected {\"String\": …} or {\"Regex\": …}, found nothing"},
           {"n", R"({"type": "Replace", "content": "x", "pattern": {"String": "a", "Regex": "b"}})",
            "f: pattern: expected {\"String\": …} or {\"Regex\": …}, found an object"},
           {"n", R"({"type": "Replace", "content": "x", "pattern": {"Regex": 1}})",
            "f: pattern: Regex: expected a string, found 1"},
           {"n", R"({"type": "Strip", "strip_left": 1})",
            "f: strip_left: expected true or false, found 1"},
           {"p", R"({"type": "X"})", "f: the pre-tokenizer X is not supported"},
           {"p", R"({"type": "Punctuation", "behavior": "X"})", "f: behavior: X is not supported"},
           {"p", R"({"type": "Metaspace", "replacement": "ab"})",
            "f: replacement: expected one character, found \"ab\""},
           {"p", R"({"type": "Metaspace", "replacement": ""})",
            "f: replacement: expected one character, found \"\""},
           {"p", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "x"})",
            "f: prepend_scheme: x is not supported"},
           {"t", R"({"type": "X"})", "f: the post-processor X is not supported"},
           {"t", R"({"type": "TemplateProcessing"})", "f: single: expected an array"},
           {"t", R"({"type": "TemplateProcessing", "single": []})",
            "f: single: expected the sequence A"},
           {"t", R"({"type": "TemplateProcessing", "single": [3]})",
            "f: single: expected objects, found 3"},
           {"t", R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B"}}]})",
            "f: single: expected the sequence A once"},
           {"t",
            R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}},
                                                         {"Sequence": {"id": "A"}}]})",
            "f: single: expected the sequence A once"},
           {"t", R"({"type": "TemplateProcessing", "single": [{"x": 1}]})",
            "f: single: expected SpecialToken or Sequence, found an object"},
           {"t", R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "s"}}]})",
            "f: special_tokens: expected an entry with ids for s"},
           {"t",
            R"({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "s"}}],
                "special_tokens": {"s": {"ids": [2147483648]}}})",
            "f: special_tokens: s: ids: expected token ids, found 2147483648"},
           {"d", R"({"type": "CTC"})", "f: the decoder CTC is not supported"},
           {"d", R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteLevel"}]})",
            "f: the decoder ByteLevel at this place of the sequence is not supported"},
           {"d",
            R"({"type": "Sequence", "decoders": [{"type": "ByteFallback"},
                                                 {"type": "Strip", "content": "a"}]})",
            "f: the decoder Strip at this place of the sequence is not supported"},
           {"d",
            R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
                                                 {"type": "Strip", "content": "a", "stop": 1}]})",
            "f: Strip: at the end of a text, or twice, is not supported"},
           {"d", R"({"type": "Strip", "content": "ab"})",
            "f: content: expected one character, found \"ab\""},
           {"d", R"({"type": "Replace", "content": "a", "pattern": {"Regex": "b"}})",
            "f: pattern: Regex is not supported here"},
       })
    EXPECT_EQ(error(kind, step), expected) << step;
  const auto replace = [&](size_t size) {
    return error("d", Json({{"type", "Replace"},
                            {"content", std::string(size, 'x')},
                            {"pattern", {{"String", "a"}}}})
                          .dump()
                          .c_str());
  };
  EXPECT_EQ(replace(1024), "(no error)");
  EXPECT_EQ(replace(1025), "f: content: expected at most 1024 bytes, found 1025");
}

TEST(Steps, PostProcessorsInARow) {
  PostProcessor post;
  const Json json = Json::parse(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
      {"type": "TemplateProcessing", "special_tokens": {"s": {"ids": [2147483647, 2]}, "e": {"ids": [3]}},
       "single": [{"SpecialToken": {"id": "s"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "e"}}]},
      {"type": "TemplateProcessing", "special_tokens": {"q": {"ids": [4]}},
       "single": [{"SpecialToken": {"id": "q"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "q"}}]}]})");
  ASSERT_TRUE(ReadPostProcessor(&json, "f", &post));
  // Each processor adds its ids around the ids of the processors before it.
  EXPECT_EQ(post.prefix, (std::vector<int32_t>{4, INT32_MAX, 2}));
  EXPECT_EQ(post.suffix, (std::vector<int32_t>{3, 4}));
}

TEST(Decoders, BytesOfATokenByItself) {
  const Decoder llama = SentencePieceDecoder(true);
  EXPECT_EQ(llama.TokenBytes("<0x00>"), std::string(1, '\0'));
  EXPECT_EQ(llama.TokenBytes("<0xFF>"), "\xFF");
  EXPECT_EQ(llama.TokenBytes("<0xFG>"), "<0xFG>");
  EXPECT_EQ(llama.TokenBytes("\u2581a\u2581\u2581b"), " a  b");
  Decoder byte_level;
  byte_level.byte_level = true;
  EXPECT_EQ(byte_level.TokenBytes("\u0120\u00C3"), " \xC3");
  EXPECT_EQ(byte_level.TokenBytes("\u65E5"), "\u65E5");  // not a letter of the byte-level alphabet
  EXPECT_EQ(byte_level.TokenBytes("<0x00>"), "<0x00>");
}

TEST(Normalizers, GrowthHasALimit) {
  EXPECT_EQ(normalizers::MaxBytes(0), size_t{1} << 20);
  EXPECT_EQ(normalizers::MaxBytes(10), (size_t{1} << 20) + 640);
  const auto grow = [](size_t content) {
    std::string text(64, 'a');
    return ErrorOf(normalizers::Replace(LiteralMatcher("a"), std::string(content, 'b'))(&text));
  };
  EXPECT_EQ(grow((1 << 14) + 64), "(no error)");  // (2^20 + 64 · 64) / 64
  EXPECT_EQ(grow((1 << 14) + 65),
            "the normalizer Replace makes more than 1052672 bytes of a text of 64");
}

}  // namespace
}  // namespace merope

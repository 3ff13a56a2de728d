// Tokenizers with small handmade vocabularies: ids, texts and errors.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/text/tokenizers.h"

namespace merope {
namespace {

TEST(Tokenizer, MergesByRankFromTheLeft) {
  const Tokenizer t = Make(ByteLevelJson());
  EXPECT_EQ(*t.Encode("abc"), (Ids{6}));
  EXPECT_EQ(*t.Encode("abab"), (Ids{4, 4}));
  EXPECT_EQ(*t.Encode("a abc"), (Ids{0, 3, 6}));  // the merge "a bc" comes before "Ġ a"
  EXPECT_EQ(*t.Encode("aaaaaaa"), (Ids{12, 11, 0}));
  EXPECT_EQ(*t.Encode("é"), (Ids{10}));
  EXPECT_EQ(*t.Encode(""), Ids());
}

// The neighbours of a dropped byte may merge with each other, as in HF tokenizers.
TEST(Tokenizer, DropsUnknownBytesWithoutUnknownToken) {
  EXPECT_EQ(*Make(ByteLevelJson()).Encode("azc"), (Ids{0, 2}));
  EXPECT_EQ(*Make(ByteLevelJson()).Encode("azb"), (Ids{4}));
}

TEST(Tokenizer, ReadsSpecialTokensOrNot) {
  const Tokenizer t = Make(ByteLevelJson(kSpecial));
  EXPECT_EQ(*t.Encode("a<x>b"), (Ids{0, 13, 1}));
  EXPECT_EQ(*t.Encode("a<x>b", {.parse_special = false}), (Ids{0, 1}));
  EXPECT_TRUE(t.IsSpecial(13));
  EXPECT_FALSE(t.IsSpecial(0));
  EXPECT_EQ(*t.Decode(Ids{0, 13, 1}), "ab");
  EXPECT_EQ(*t.Decode(Ids{0, 13, 1}, /*skip_special=*/false), "a<x>b");
}

TEST(Tokenizer, PostProcessorGivesThePrefix) {
  const Tokenizer t =
      Make(ByteLevelJson(kSpecial, R"("post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<x>": {"id": "<x>", "ids": [13], "tokens": ["<x>"]}}}, )"));
  EXPECT_EQ(t.PrefixIds(), (Ids{13}));
  EXPECT_EQ(*t.Encode("a"), (Ids{0}));
  EXPECT_EQ(*t.Encode("a", {.add_special = true}), (Ids{13, 0}));
}

TEST(Tokenizer, RefusesTextsThatAreNoUtf8) {
  const Tokenizer t = Make(ByteLevelJson());
  for (const std::string bad : {"ab\xC3", "ab\xC0\x80", "ab\xED\xA0\x80", "ab\xF4\x90\x80\x80"}) {
    const auto ids = t.Encode(bad);
    ASSERT_FALSE(ids);
    EXPECT_NE(ids.error().message.find("offset 2"), std::string::npos) << ids.error().message;
  }
}

TEST(Tokenizer, RefusesIdsOutsideTheVocabulary) {
  const Tokenizer t = Make(ByteLevelJson());
  EXPECT_FALSE(t.Decode(Ids{0, 14}));
  EXPECT_FALSE(t.Decode(Ids{-1}));
  EXPECT_EQ(t.IdToToken(14), "");
  EXPECT_EQ(t.TokenToId("nothing"), std::nullopt);
  EXPECT_EQ(t.TokenToId("abc"), 6);
  EXPECT_EQ(t.TokenBytes(7), " a");
  EXPECT_EQ(t.TokenBytes(8), "\xC3");
}

TEST(StreamDecoder, NeverSplitsACharacterAndJoinsToDecode) {
  const Tokenizer t = Make(ByteLevelJson());
  StreamDecoder stream(t);
  EXPECT_EQ(stream.Push(0), "a");
  EXPECT_EQ(stream.Push(8), "");
  EXPECT_EQ(stream.Push(9), "é");
  EXPECT_EQ(stream.Push(8), "");
  EXPECT_EQ(stream.Push(1),
            "\uFFFD"
            "b");
  EXPECT_EQ(stream.Push(8), "");
  EXPECT_EQ(stream.Finish(), "\uFFFD");
  EXPECT_EQ(*t.Decode(Ids{0, 8, 9, 8, 1, 8}), "aé\uFFFDb\uFFFD");
}

TEST(StreamDecoder, GoesOnFromTheTextBefore) {
  const auto t = Tokenizer::FromGguf(SentencePiece(), "t.gguf");
  ASSERT_TRUE(t) << t.error().message;
  const auto text = [&t](const Ids& before, const Ids& ids) {
    StreamDecoder stream(*t, true, before);
    std::string joined;
    for (const int32_t id : ids) joined += stream.Push(id);
    return joined + stream.Finish();
  };
  EXPECT_EQ(text({}, {9, 9}), "a a");
  EXPECT_EQ(text({1}, {9, 9}), "a a");  // a special token has no text
  EXPECT_EQ(text({1, 9}, {9, 9}), " a a");
  EXPECT_EQ(text({9, 1}, {9}), " a");
  Ids special_after_text(100, 1);
  special_after_text.front() = 6;
  EXPECT_EQ(text(special_after_text, {9}), " a");
  // If a character begins before the stream and ends in the stream, the stream gives the whole
  // character. The stream gives no other character of the text before.
  EXPECT_EQ(text({9, 3}, {4, 9}), "\u00E9 a");
  EXPECT_EQ(text({9, 3, 4}, {9}), " a");
  EXPECT_EQ(text({9, 3, 4}, {3, 4}), "\u00E9");
  EXPECT_EQ(text({9, 3}, {9}), " a");
  EXPECT_EQ(text({9, 3}, {3, 4}), "\u00E9");
  EXPECT_EQ(text({9, 3}, {}), "");
  EXPECT_EQ(text({9}, {4, 9}), "\uFFFD a");
}

TEST(StreamDecoder, GoesOnFromBytesBefore) {
  const Tokenizer t = Make(ByteLevelJson());
  const auto text = [&t](const Ids& before, const Ids& ids) {
    StreamDecoder stream(t, true, before);
    std::string joined;
    for (const int32_t id : ids) joined += stream.Push(id);
    return joined + stream.Finish();
  };
  EXPECT_EQ(text({0}, {7}), " a");
  EXPECT_EQ(text({0, 8}, {9, 0}), "\u00E9a");
  EXPECT_EQ(text({0, 8}, {0}), "a");
  EXPECT_EQ(text({0, 8}, {8, 9}), "\u00E9");
  EXPECT_EQ(text({8}, {}), "");
}

// Metaspace strips the space of a text's first token. A tokenizer without a decoder puts a space
// between tokens.
TEST(StreamDecoder, GoesOnWithEachKindOfDecoder) {
  const auto with = [](const std::string& decoder) {
    return Make(R"({"decoder": )" + decoder + R"(, "model": {"vocab":
        {"\u2581a": 0, "b": 1}, "merges": []}})");
  };
  const auto first = [](const Tokenizer& t, const Ids& before) {
    return StreamDecoder(t, true, before).Push(0);
  };
  const Tokenizer metaspace =
      with(R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"})");
  EXPECT_EQ(first(metaspace, {}), "a");
  EXPECT_EQ(first(metaspace, {1}), " a");
  EXPECT_EQ(first(metaspace, Ids(40, 1)), " a");
  const Tokenizer llama = with(R"({"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})");
  EXPECT_EQ(first(llama, {}), "a");
  EXPECT_EQ(first(llama, {1}), " a");
  EXPECT_EQ(first(llama, Ids(40, 1)), " a");
  const Tokenizer none = with("null");
  EXPECT_EQ(first(none, {}), "\u2581a");
  EXPECT_EQ(first(none, {1}), " \u2581a");
}

TEST(Tokenizer, LongWordsTakeNoQuadraticTime) {
  const Tokenizer t = Make(ByteLevelJson());
  const auto start = std::chrono::steady_clock::now();
  const auto ids = t.Encode(std::string(1 << 20, 'a'));
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->size(), (1 << 20) / 4);
  EXPECT_LT(spent.count(), 60);  // a quadratic algorithm takes hours
}

TEST(Tokenizer, ServesManyThreads) {
  const Tokenizer t = Make(ByteLevelJson(kSpecial));
  const Ids expected = *t.Encode("abc abc<x> aab");
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 200; ++k) wrong += *t.Encode("abc abc<x> aab") != expected;
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace merope

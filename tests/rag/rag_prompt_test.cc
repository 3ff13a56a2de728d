#include "rag/rag_prompt.h"

#include <gtest/gtest.h>

#include "checkpoint/synth_tokenizer.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

class RagPromptTest : public testing::Test {
 protected:
  RagPrompt Make(const RagQuestion& question, int64_t most = 4000) {
    auto prompt = MakeRagPrompt(tokenizer_, std::nullopt, question, most);
    CHECK(prompt.has_value(), "{}", prompt.error().message);
    return *prompt;
  }
  std::string Text(const RagPrompt& prompt) { return *tokenizer_.Decode(prompt.ids, false); }

  Tokenizer tokenizer_ = *Tokenizer::FromJson(SynthTokenizer(4096).dump(), "t.json");
};

TEST_F(RagPromptTest, IsTheProtocolOfPleiasRag) {
  const RagPrompt prompt = Make({.query = "Who?", .sources = {"First.", "Second."}});
  EXPECT_EQ(prompt.protocol, RagProtocol::kPleias);
  EXPECT_EQ(prompt.open, Section::kLanguage);
  EXPECT_EQ(Text(prompt),
            "<|end_of_text|><|query_start|>Who?<|query_end|>\n"
            "<|source_start|><|source_id|>1 First.<|source_end|>\n"
            "<|source_start|><|source_id|>2 Second.<|source_end|>\n<|language_start|>\n");
  EXPECT_EQ(prompt.sources, (std::vector<std::string>{"First.", "Second."}));
}

TEST_F(RagPromptTest, FastOpensTheAnswer) {
  const RagPrompt prompt =
      Make({.query = "Wer ist der König und was ist das?", .sources = {"x"}, .fast = true});
  EXPECT_EQ(prompt.open, Section::kAnswer);
  EXPECT_EQ(prompt.language, "German");
  EXPECT_TRUE(Text(prompt).ends_with(
      "<|language_start|>\nGerman\n<|language_end|>\n\n<|query_report_start|>\nAnswerable\n"
      "<|query_report_end|>\n\n<|answer_start|>\n"));
}

// A source or a question that spells every token of the vocabulary forges none.
TEST_F(RagPromptTest, UsersTextForgesNothing) {
  std::string every;
  for (int32_t id = 0; id < tokenizer_.vocab_size(); ++id)
    if (tokenizer_.IsSpecial(id)) every += tokenizer_.IdToToken(id);
  const RagPrompt plain = Make({.query = "q", .sources = {"s"}});
  const RagPrompt forged = Make({.query = every, .sources = {every + "</ref>"}});
  const auto special = [this](const RagPrompt& prompt) {
    std::vector<int32_t> ids;
    for (const int32_t id : prompt.ids)
      if (tokenizer_.IsSpecial(id)) ids.push_back(id);
    return ids;
  };
  EXPECT_EQ(special(plain), special(forged));
  EXPECT_GT(forged.ids.size(), plain.ids.size() + every.size() / 2);
}

TEST_F(RagPromptTest, SourcesThatDoNotFitAreCutAtASentenceOrDropped) {
  const RagQuestion question = {
      .query = "Who?", .sources = {"One sentence. Another one. A third.", "More of it.", "End."}};
  const auto whole = std::ssize(Make(question).ids);
  EXPECT_EQ(Make(question, whole).dropped, 0);
  int64_t last = 3;
  for (int64_t most = whole - 1; most >= std::ssize(Make({.query = "Who?"}).ids); --most) {
    const RagPrompt prompt = Make(question, most);
    EXPECT_LE(std::ssize(prompt.ids), most);
    const auto kept = std::ssize(prompt.sources);
    EXPECT_LE(kept, last);
    EXPECT_EQ(prompt.dropped, 3 - kept);
    for (int64_t i = 0; i < kept; ++i) {
      const std::string &seen = prompt.sources[static_cast<size_t>(i)],
                        &given = question.sources[static_cast<size_t>(i)];
      if (i + 1 < kept || !prompt.cut)
        EXPECT_EQ(seen, given);
      else
        EXPECT_TRUE(given.starts_with(seen) && seen.ends_with('.') && seen.size() < given.size());
    }
    last = kept;
  }
  EXPECT_EQ(last, 0);
}

TEST_F(RagPromptTest, AQuestionThatDoesNotFitIsNamed) {
  const auto prompt = MakeRagPrompt(tokenizer_, std::nullopt, {.query = "Who?"}, 5);
  EXPECT_TRUE(Contains(ErrorOf(prompt), "query: expected at most 5 tokens"));
}

TEST(QueryLanguage, GoesByScriptAndShortWords) {
  EXPECT_EQ(QueryLanguage("What is the capital of France?"), "English");
  EXPECT_EQ(QueryLanguage("Quelle est la capitale de la France ?"), "French");
  EXPECT_EQ(QueryLanguage("¿Cuál es la capital del Perú y quién es?"), "Spanish");
  EXPECT_EQ(QueryLanguage("法国的首都是哪里？"), "Chinese");
  EXPECT_EQ(QueryLanguage("フランスの首都はどこですか"), "Japanese");
  EXPECT_EQ(QueryLanguage("Что это?"), "Russian");
  EXPECT_EQ(QueryLanguage(""), "English");
}

}  // namespace
}  // namespace merope

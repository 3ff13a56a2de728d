#include "report/generation.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/mapped_file.h"
#include "prompt/encode_prompt.h"
#include "tests/engine/tiny_model.h"
#include "tests/support/expect.h"
#include "verify/metrics.h"

namespace merope {
namespace {

constexpr std::string_view kQuestions[] = {"Why?", "How so?"};

Result<std::vector<GenerationPair>> Compare(
    const LoadedModel& baseline, const LoadedModel& target, int64_t max_tokens,
    std::span<const std::string_view> questions = kQuestions,
    const std::function<void(int64_t, int64_t)>& progress = {}) {
  return CompareGeneration({baseline.checkpoint, baseline.tokenizer, *baseline.runtime.model},
                           *target.runtime.model, questions, max_tokens, progress);
}

std::vector<float> LogitsAfter(Llama& model, const std::vector<int32_t>& ids) {
  std::vector<float> row;
  Sequence sequence(model.kv());
  EXPECT_TRUE(model.Extend(&sequence, ids, 1, [&](int64_t, std::span<const float> logits) {
    row.assign(logits.begin(), logits.end());
  }));
  return row;
}

TEST(CompareGeneration, AModelAgainstItself) {
  const TinyCheckpoint files(LlamaSizes{}, {});  // no token ends a text
  const LoadedModel loaded = files.Load({});
  std::vector<std::pair<int64_t, int64_t>> progress;
  const auto pairs = Compare(loaded, loaded, 7, kQuestions, [&](int64_t done, int64_t total) {
    progress.emplace_back(done, total);
  });
  ASSERT_TRUE(pairs) << ErrorOf(pairs);
  ASSERT_EQ(pairs->size(), 2u);
  EXPECT_EQ(progress, (std::vector<std::pair<int64_t, int64_t>>{{1, 2}, {2, 2}}));
  for (const GenerationPair& pair : *pairs) {
    EXPECT_EQ(pair.first_difference, -1);
    EXPECT_EQ(pair.baseline_tokens, 7);
    EXPECT_EQ(pair.target_tokens, 7);
    EXPECT_EQ(pair.baseline_text, pair.target_text);
    EXPECT_FALSE(pair.baseline_stopped || pair.target_stopped);
  }
  EXPECT_EQ((*pairs)[1].prompt, "How so?");
}

// Two models with different weights differ at the first token. The position, both tokens and all
// margins follow from the models' logits after the prompt.
TEST(CompareGeneration, WhereTwoModelsPart) {
  const TinyCheckpoint a_files(128, 0.3), b_files(128, 0.2);
  const LoadedModel a = a_files.Load({}), b = b_files.Load({});
  const auto pairs = Compare(a, b, 8);
  ASSERT_TRUE(pairs) << ErrorOf(pairs);
  const GenerationPair& pair = pairs->front();
  ASSERT_EQ(pair.form, "rag");  // the synthetic vocabulary has the RAG tokens
  const auto prompt =
      EncodePrompt(a.tokenizer, "<|query_start|>Why?<|query_end|>\n<|language_start|>\n");
  EXPECT_EQ(pair.prompt_tokens, std::ssize(*prompt));
  const std::vector<float> before = LogitsAfter(a.model(), *prompt),
                           after = LogitsAfter(b.model(), *prompt);
  const auto top = [](const std::vector<float>& row) {
    return static_cast<size_t>(std::ranges::max_element(row) - row.begin());
  };
  const size_t first = top(before), other = top(after);
  ASSERT_NE(first, other);
  EXPECT_EQ(pair.first_difference, 0);
  EXPECT_EQ(pair.baseline_token, a.tokenizer.TokenBytes(static_cast<int32_t>(first)));
  EXPECT_EQ(pair.target_token, a.tokenizer.TokenBytes(static_cast<int32_t>(other)));
  EXPECT_NEAR(pair.margin, before[first] - before[other], 1e-5);
  ASSERT_TRUE(pair.target_margin);
  EXPECT_NEAR(*pair.target_margin, after[first] - after[other], 1e-5);
  EXPECT_GT(pair.margin, 0);
  EXPECT_LT(*pair.target_margin, 0);
  EXPECT_NEAR(pair.sigma, RowComparer().Compare(before, after, std::nullopt).sigma_d, 1e-5);
}

TEST(CompareGeneration, FormsOfThePrompt) {
  const TinyCheckpoint plain(LlamaSizes{.vocabulary = 270});
  const LoadedModel loaded = plain.Load({});
  auto pairs = Compare(loaded, loaded, 2);
  ASSERT_TRUE(pairs) << ErrorOf(pairs);
  EXPECT_EQ(pairs->front().form, "plain");
  EXPECT_EQ(pairs->front().prompt_tokens, std::ssize(*EncodePrompt(loaded.tokenizer, "Why?")));

  const TinyCheckpoint chat(LlamaSizes{});
  ASSERT_TRUE(WriteFile(chat.path() + "/chat_template.jinja",
                        "{{ messages[0].role }}: {{ messages[0].content }}"));
  const LoadedModel chatting = chat.Load({});
  pairs = Compare(chatting, chatting, 2);
  ASSERT_TRUE(pairs) << ErrorOf(pairs);
  EXPECT_EQ(pairs->front().form, "chat");
  EXPECT_EQ(pairs->front().prompt_tokens,
            std::ssize(*EncodePrompt(chatting.tokenizer, "user: Why?", false)));
}

TEST(CompareGeneration, TextsEndWithTheContext) {
  const TinyCheckpoint files(LlamaSizes{.vocabulary = 270, .context = 12}, {});
  const LoadedModel loaded = files.Load({});
  // With the prefix, the prompts have 11, 12 and 5 tokens. The second leaves no room for an answer.
  const std::string_view questions[] = {"xxxxxxxxxx", "xxxxxxxxxxx", "xxxx"};
  ASSERT_EQ(EncodePrompt(loaded.tokenizer, questions[0])->size(), 11u);
  const auto pairs = Compare(loaded, loaded, 5, questions);
  ASSERT_TRUE(pairs) << ErrorOf(pairs);
  ASSERT_EQ(pairs->size(), 2u);
  EXPECT_EQ((*pairs)[0].target_tokens, 1);
  EXPECT_EQ((*pairs)[1].prompt, "xxxx");
  EXPECT_EQ((*pairs)[1].target_tokens, 5);
}

}  // namespace
}  // namespace merope

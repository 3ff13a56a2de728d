#include "verify/server_pair.h"

#include <gtest/gtest.h>

#include <cmath>

namespace merope {
namespace {

CompletionAnswer Answer(std::vector<int32_t> tokens, std::vector<TopTokens> top,
                        std::vector<TopTokens> prompt_top = {}) {
  CompletionAnswer answer;
  answer.tokens = std::move(tokens);
  answer.top = std::move(top);
  answer.prompt_top = std::move(prompt_top);
  return answer;
}

std::vector<VerifyPrompt> Prompts() {
  return {{.id = "p", .ids = {1, 2, 3}}, {.id = "q", .ids = {4, 5}}};
}

TEST(ServerPair, EqualAnswersDifferNowhere) {
  const TopTokens row{{7, 8}, {-0.5f, -1.5f}};
  const std::vector<CompletionAnswer> a = {Answer({7, 7}, {row, row}, {row, row}),
                                           Answer({7}, {row})};
  const ServerPair pair = CompareServers(Prompts(), a, a);
  EXPECT_EQ(pair.prompts, 2);
  EXPECT_EQ(pair.same_texts, 2);
  EXPECT_EQ(pair.positions, 5);
  EXPECT_EQ(pair.flips, 0);
  EXPECT_EQ(pair.sigma, 0);
  EXPECT_EQ(pair.max_delta, 0);
}

TEST(ServerPair, DifferencesAndFlips) {
  const std::vector<CompletionAnswer> first = {
      Answer({7, 8, 8}, {{{7, 8}, {-0.5f, -1.0f}}, {{8, 7}, {-0.25f, -2.0f}}, {{8, 7}, {-1, -2}}}),
      Answer({9}, {{{9, 1}, {-0.5f, -0.75f}}})};
  const std::vector<CompletionAnswer> second = {
      // The second generated token differs, so the third row has another prefix.
      Answer({7, 7, 8}, {{{7, 8}, {-0.25f, -1.25f}}, {{7, 8}, {-0.5f, -1.5f}}, {{8, 7}, {-9, -9}}}),
      Answer({2}, {{{2, 9}, {-0.5f, -0.625f}}})};
  const ServerPair pair = CompareServers(Prompts(), first, second);
  EXPECT_EQ(pair.same_texts, 0);
  EXPECT_EQ(pair.positions, 3);
  EXPECT_EQ(pair.flips, 2);
  EXPECT_DOUBLE_EQ(pair.widest_flip, 1.75);  // 8 over 7 in the second row
  EXPECT_DOUBLE_EQ(pair.max_delta, 1.5);     // of token 7 there
  EXPECT_EQ(pair.worst_prompt, "p");
  EXPECT_EQ(pair.worst_position, 3);
  // Deltas: (0.25, −0.25), then (1.5, −1.25), then one token alone, which has no deviation.
  EXPECT_NEAR(pair.sigma, std::sqrt((2 * 0.0625 + 2 * 1.375 * 1.375) / 5), 1e-12);
}

TEST(ServerPair, ATieOrAnUnlistedChoice) {
  const auto compare = [](TopTokens a, TopTokens b) {
    return CompareServers({{.id = "p", .ids = {1}}}, {Answer({a.ids[0]}, {a})},
                          {Answer({b.ids[0]}, {b})});
  };
  EXPECT_EQ(compare({{7, 8}, {-1, -1}}, {{8, 7}, {-1, -1}}).flips, 0);
  // Token 9 lies below all that the first server lists.
  const ServerPair unlisted = compare({{7, 8}, {-1, -3}}, {{9, 8}, {-1, -3}});
  EXPECT_EQ(unlisted.flips, 1);
  EXPECT_DOUBLE_EQ(unlisted.widest_flip, 2);
}

TEST(ServerPair, AnswersWithoutRows) {
  CompletionAnswer none;
  const ServerPair pair = CompareServers({{.id = "p", .ids = {1}}}, {none}, {none});
  EXPECT_EQ(pair.positions, 0);
  EXPECT_EQ(pair.same_texts, 0);
}

}  // namespace
}  // namespace merope

#include "engine/prompt_lookup.h"

#include <gtest/gtest.h>

namespace merope {
namespace {

std::vector<int32_t> Proposed(PromptLookup& lookup, const std::vector<int32_t>& tokens,
                              int64_t room = 100,
                              const std::vector<std::vector<int32_t>>& texts = {}) {
  std::vector<int32_t> draft = {-1};
  lookup.Propose(tokens, texts, room, &draft);
  return draft;
}

using Ids = std::vector<int32_t>;

TEST(PromptLookupTest, WhatFollowedTheLongestMatchIsProposed) {
  PromptLookup lookup(4);
  EXPECT_EQ(Proposed(lookup, {1, 2, 3, 4, 5, 6, 7, 1, 2, 3}), (Ids{4, 5, 6, 7}));
  EXPECT_EQ(Proposed(lookup, {1, 2, 3, 4, 5, 6, 7, 1, 2, 3}, 2), (Ids{4, 5}));
  // Two equal tokens are not a match.
  EXPECT_EQ(Proposed(lookup, {1, 2, 3, 4, 5, 6, 7, 9, 2, 3}), Ids{});
  // A longer match is preferred to a later match. Of equally long matches, the latest is used.
  EXPECT_EQ(Proposed(lookup, {9, 1, 2, 3, 4, 0, 8, 1, 2, 3, 5, 0, 9, 1, 2, 3}, 1), Ids{4});
  EXPECT_EQ(Proposed(lookup, {8, 1, 2, 3, 4, 0, 7, 1, 2, 3, 5, 0, 9, 1, 2, 3}, 1), Ids{5});
  // In a loop, the latest match ends one token before the end, so one token is proposed.
  EXPECT_EQ(Proposed(lookup, {6, 6, 6, 6}), Ids{6});
  EXPECT_EQ(Proposed(lookup, {}), Ids{});
  EXPECT_EQ(Proposed(lookup, {1}), Ids{});
  EXPECT_EQ(Proposed(lookup, {1, 2, 3, 4, 1, 2, 3}, 0), Ids{});
}

TEST(PromptLookupTest, OtherTextsAreQuotedWhereTheyMatchLonger) {
  PromptLookup lookup(4);
  const Ids tokens = {1, 2, 3, 4, 0, 9, 1, 2, 3};
  EXPECT_EQ(Proposed(lookup, tokens, 2), (Ids{4, 0}));
  EXPECT_EQ(Proposed(lookup, tokens, 2, {{1, 2, 3, 7, 7}}), (Ids{4, 0}));
  EXPECT_EQ(Proposed(lookup, tokens, 2, {{1, 2, 3, 7, 7}, {9, 1, 2, 3, 5}}), Ids{5});
  EXPECT_EQ(Proposed(lookup, {1, 2, 3}, 2, {{8, 1, 2, 3, 7, 6, 5}}), (Ids{7, 6}));
  // Nothing follows a match at the end of a text. A text that is shorter than a match gives no
  // proposal either.
  EXPECT_EQ(Proposed(lookup, {1, 2, 3}, 2, {{1, 2, 3}, {2, 3}, {}}), Ids{});
}

TEST(PromptLookupTest, ItsLengthFollowsItsLuck) {
  Ids tokens(40);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i);
  tokens.insert(tokens.end(), {0, 1, 2});
  PromptLookup lookup(16);
  const size_t first = Proposed(lookup, tokens).size();
  lookup.Learn(static_cast<int64_t>(first), static_cast<int64_t>(first));
  EXPECT_EQ(Proposed(lookup, tokens).size(), 2 * first);
  for (int i = 0; i < 5; ++i) lookup.Learn(8, 8);
  EXPECT_EQ(Proposed(lookup, tokens).size(), 16u);
  lookup.Learn(16, 5);
  EXPECT_EQ(Proposed(lookup, tokens).size(), 6u);
  // After two misses in a row, Propose proposes nothing for a while. After more misses, the pause
  // is longer.
  const auto silence = [&] {
    int calls = 0;
    while (Proposed(lookup, tokens).empty()) ++calls;
    return calls;
  };
  lookup.Learn(6, 0);
  EXPECT_EQ(silence(), 0);
  lookup.Learn(2, 0);
  const int after_two = silence();
  EXPECT_GT(after_two, 0);
  lookup.Learn(2, 0);
  EXPECT_GT(silence(), after_two);
}

}  // namespace
}  // namespace merope

// Constraints that are not grammars, alone and together with a grammar.
#include "grammar/token_constraint.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "grammar/grammar_constraint.h"
#include "tests/grammar/fourth_tokens.h"
#include "tests/grammar/grammar.h"

namespace merope {
namespace {

std::unique_ptr<TokenConstraint> Both(std::unique_ptr<TokenConstraint> a,
                                      std::unique_ptr<TokenConstraint> b) {
  std::vector<std::unique_ptr<TokenConstraint>> all;
  all.push_back(std::move(a));
  all.push_back(std::move(b));
  return std::make_unique<AllConstraints>(std::move(all));
}

int32_t Byte(char c) { return kTestFirstByte + static_cast<int32_t>(c); }

TEST(TokenConstraint, TheTokensOfAllAndTheEndOfAll) {
  TestGrammars grammars;
  const auto both = Both(std::make_unique<GrammarConstraint>(grammars.Must({.regex = "[a-g]{2}"})),
                         std::make_unique<FourthTokens>(grammars.vocab_size(), 3));
  ASSERT_EQ(Byte('a') % 4, 0);
  EXPECT_EQ(grammars.Allowed(*both), (std::vector<int32_t>{Byte('a'), Byte('e')}));
  EXPECT_FALSE(both->finished());
  both->Accept(Byte('e'));
  EXPECT_FALSE(both->prepared());
  both->Accept(Byte('a'));
  // The text is complete, so the grammar allows the EOS ids 0 and 1. FourthTokens forbids 1.
  EXPECT_EQ(grammars.Allowed(*both), std::vector<int32_t>{kTestEos});
  EXPECT_TRUE(both->finished());
  both->Rollback(1);
  EXPECT_EQ(grammars.Allowed(*both), (std::vector<int32_t>{Byte('a'), Byte('e')}));
  EXPECT_FALSE(both->finished());
}

TEST(TokenConstraint, WhatTheyDoNotAllowInCommon) {
  TestGrammars grammars;
  const auto both = Both(std::make_unique<GrammarConstraint>(grammars.Must({.regex = "b+"})),
                         std::make_unique<FourthTokens>(grammars.vocab_size(), 3));
  EXPECT_EQ(grammars.Allowed(*both), std::vector<int32_t>{});
}

TEST(TokenConstraint, WorkIsBoundedTogether) {
  TestGrammars grammars;
  const auto both = Both(std::make_unique<GrammarConstraint>(grammars.Must({.regex = "[a-d]*"})),
                         std::make_unique<FourthTokens>(grammars.vocab_size(), 3));
  EXPECT_FALSE(both->Prepare(0));
  EXPECT_FALSE(both->prepared());
  EXPECT_TRUE(both->Prepare(TokenConstraint::kNoLimit));
  EXPECT_GT(both->work(), 0);
}

TEST(GrammarConstraint, RollbackIsAsIfTheTokensHadNotFollowed) {
  TestGrammars grammars;
  const auto grammar = grammars.Must({.regex = "(ab|ac)*d"});
  GrammarConstraint constraint(grammar), fresh(grammar);
  ASSERT_TRUE(grammars.Follow(constraint, "abacd"));
  constraint.Rollback(3);
  ASSERT_TRUE(grammars.Follow(fresh, "ab"));
  EXPECT_EQ(grammars.Mask(constraint), grammars.Mask(fresh));
  ASSERT_TRUE(grammars.Follow(constraint, "abd"));
  EXPECT_TRUE(constraint.Prepare(TokenConstraint::kNoLimit));
  EXPECT_TRUE(constraint.finished());
  constraint.Rollback(0);
  EXPECT_TRUE(constraint.Prepare(TokenConstraint::kNoLimit));
  EXPECT_TRUE(constraint.finished());
  constraint.Rollback(5);
  EXPECT_EQ(grammars.Allowed(constraint), (std::vector<int32_t>{Byte('a'), Byte('d')}));
}

}  // namespace
}  // namespace merope

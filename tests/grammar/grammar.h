// Helpers for the tests of structured output: a small vocabulary with tokens of all kinds, and
// functions that feed texts to a grammar byte by byte.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/grammar_compiler.h"
#include "grammar/grammar_constraint.h"
#include "tests/support/expect.h"
#include "text/pieces.h"

namespace merope {

constexpr int32_t kTestEos = 0, kTestOtherEos = 1, kTestSpecial = 2, kTestFirstByte = 3;

// The vocabulary has two EOS tokens, a special token that looks like text, one token per byte, and
// the words.
inline Tokenizer TestTokenizer(const std::vector<std::string>& words) {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  vocabulary.tokens = {"<|end|>", "<|stop|>", "false"};
  vocabulary.types = {3, 3, 3};
  const auto add = [&](std::string_view bytes) {
    vocabulary.tokens.emplace_back();
    byte_level::AppendMapped(bytes, &vocabulary.tokens.back());
    vocabulary.types.push_back(1);
  };
  for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
  for (const std::string& word : words) add(word);
  auto tokenizer = Tokenizer::FromGguf(std::move(vocabulary), "test.gguf");
  EXPECT_TRUE(tokenizer) << ErrorOf(tokenizer);
  return std::move(*tokenizer);
}

class TestGrammars {
 public:
  // The model's vocabulary has five more ids than the tokenizer's vocabulary.
  explicit TestGrammars(const std::vector<std::string>& words = {})
      : tokenizer_(TestTokenizer(words)),
        vocab_size_(tokenizer_.vocab_size() + 5),
        compiler_(tokenizer_, vocab_size_, std::vector<int32_t>{kTestEos, kTestOtherEos}) {}

  Result<std::shared_ptr<const Grammar>> Compile(const StructuredOutputs& outputs) {
    return compiler_.Compile(outputs);
  }
  std::shared_ptr<const Grammar> Must(const StructuredOutputs& outputs) {
    auto grammar = Compile(outputs);
    EXPECT_TRUE(grammar) << ErrorOf(grammar);
    return grammar ? *grammar : nullptr;
  }

  std::vector<uint32_t> Mask(TokenConstraint& constraint) const {
    EXPECT_TRUE(constraint.Prepare(TokenConstraint::kNoLimit));
    return {constraint.mask().begin(), constraint.mask().end()};
  }
  static bool Has(const std::vector<uint32_t>& mask, int32_t id) {
    return (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
  }
  std::vector<int32_t> Allowed(TokenConstraint& constraint) const {
    std::vector<int32_t> ids;
    const auto mask = Mask(constraint);
    for (int32_t id = 0; id < static_cast<int32_t>(mask.size()) * 32; ++id) {
      if (Has(mask, id)) ids.push_back(id);
    }
    return ids;
  }
  // Feeds the text to the constraint byte by byte, up to the first byte that the constraint does
  // not allow. Returns true if the constraint allows every byte.
  bool Follow(TokenConstraint& constraint, std::string_view text) const {
    for (const char byte : text) {
      const int32_t token = kTestFirstByte + static_cast<unsigned char>(byte);
      if (!Has(Mask(constraint), token)) return false;
      constraint.Accept(token);
    }
    return true;
  }
  // Whether the grammar allows this text as a complete text.
  bool Accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) const {
    GrammarConstraint constraint(grammar);
    return Follow(constraint, text) && Has(Mask(constraint), kTestEos);
  }
  // Expects that the mask after the text `after` allows a token exactly if the grammar allows the
  // token's bytes one by one. The mask must not allow kTestSpecial or ids without a token.
  void ExpectMaskAgreesWithBytes(const std::shared_ptr<const Grammar>& grammar,
                                 std::string_view after) const {
    GrammarConstraint constraint(grammar);
    ASSERT_TRUE(Follow(constraint, after)) << after;
    const auto mask = Mask(constraint);
    for (int32_t id = kTestFirstByte; id < tokenizer_.vocab_size(); ++id) {
      GrammarConstraint other(grammar);
      ASSERT_TRUE(Follow(other, after));
      EXPECT_EQ(Has(mask, id), Follow(other, tokenizer_.TokenBytes(id)))
          << "after \"" << after << "\": \"" << tokenizer_.TokenBytes(id) << '"';
    }
    EXPECT_FALSE(Has(mask, kTestSpecial));
    for (int64_t id = tokenizer_.vocab_size(); id < static_cast<int64_t>(mask.size()) * 32; ++id) {
      EXPECT_FALSE(Has(mask, static_cast<int32_t>(id)));
    }
  }

  const Tokenizer& tokenizer() const { return tokenizer_; }
  int64_t vocab_size() const { return vocab_size_; }  // of the model

 private:
  Tokenizer tokenizer_;
  int64_t vocab_size_;
  GrammarCompiler compiler_;
};

inline std::string Repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

}  // namespace merope

// Finds the texts that JSON schemas allow, for json_schema_oracle.py. Standard input has one JSON
// line per schema: {"schema": TEXT, "texts": [TEXT], "walks": N, "seed"}. Standard output has one
// line per schema, in the same order: {"error": MESSAGE}, or {"accepted": [true or false for each
// text], "written": [the texts of N random walks along the masks]}. The vocabulary is the 256 bytes
// and an end token, so each byte of a text is checked by itself, and compiling takes a millisecond.
#include <array>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>

#include "grammar/grammar_compiler.h"
#include "grammar/grammar_constraint.h"
#include "text/pieces.h"
#include "text/tokenizer.h"

namespace merope {
namespace {

constexpr int32_t kEnd = 256, kVocabulary = 257;
constexpr size_t kMaxWalk = 400;

Tokenizer Bytes() {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.emplace_back();
    byte_level::AppendMapped(std::string(1, static_cast<char>(byte)), &vocabulary.tokens.back());
    vocabulary.types.push_back(1);
  }
  vocabulary.tokens.emplace_back("<end>");
  vocabulary.types.push_back(3);
  auto tokenizer = Tokenizer::FromGguf(std::move(vocabulary), "bytes");
  CHECK(tokenizer.has_value(), "{}", tokenizer.error().message);
  return std::move(*tokenizer);
}

bool Allows(GrammarConstraint* constraint, int32_t token) {
  constraint->Prepare(TokenConstraint::kNoLimit);
  return (constraint->mask()[static_cast<size_t>(token) / 32] >> (token % 32) & 1) != 0;
}

bool Accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  GrammarConstraint constraint(grammar);
  for (const char byte : text) {
    const int32_t token = static_cast<unsigned char>(byte);
    if (!Allows(&constraint, token)) return false;
    constraint.Accept(token);
  }
  return Allows(&constraint, kEnd);
}

// The text of a random walk along the masks. The walk prefers tokens that end a value. The result
// is nullopt if the walk has not ended after kMaxWalk bytes.
std::optional<std::string> Walk(const std::shared_ptr<const Grammar>& grammar, std::mt19937* rng) {
  GrammarConstraint constraint(grammar);
  std::string text;
  while (text.size() < kMaxWalk) {
    constraint.Prepare(TokenConstraint::kNoLimit);
    const std::span<const uint32_t> mask = constraint.mask();
    std::vector<int32_t> allowed;
    for (int32_t token = 0; token < kVocabulary; ++token) {
      if ((mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1) == 0) continue;
      const bool ends = token == kEnd || token == '"' || token == '}' || token == ']';
      const bool common = token < 0x7F && token > 0x20 && token != '\\';
      allowed.insert(allowed.end(), ends ? 60 : common ? 4 : 1, token);
    }
    CHECK(!allowed.empty());
    const int32_t token = allowed[(*rng)() % allowed.size()];
    if (token == kEnd) return text;
    text.push_back(static_cast<char>(token));
    constraint.Accept(token);
  }
  return std::nullopt;
}

int Main() {
  const Tokenizer tokenizer = Bytes();
  GrammarCompiler compiler(tokenizer, kVocabulary, std::array{kEnd});
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = nlohmann::json::parse(line);
    const auto grammar = compiler.Compile({.json = request["schema"].get<std::string>()});
    nlohmann::json answer;
    if (!grammar) {
      answer["error"] = grammar.error().message;
    } else {
      answer["accepted"] = answer["written"] = nlohmann::json::array();
      for (const auto& text : request["texts"]) {
        answer["accepted"].push_back(Accepts(*grammar, text.get_ref<const std::string&>()));
      }
      std::mt19937 rng(request.value("seed", 0U));
      for (int i = request.value("walks", 0); i > 0; --i) {
        if (auto text = Walk(*grammar, &rng)) answer["written"].push_back(std::move(*text));
      }
    }
    std::cout << answer.dump() << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace merope

int main() { return merope::Main(); }

// A context-free grammar over characters, in the plainest form: rules of alternatives of texts,
// character sets and other rules. Everything that structured output may ask for is brought into it;
// what compiles it for a vocabulary reads no other. Whoever compiles owns it, on its own thread.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "engine/grammar/char_set.h"

namespace merope {

using RuleId = int32_t;
// A text in UTF-8, one character of a set, or a text of a rule.
using Symbol = std::variant<std::string, CharSet, RuleId>;
using Alternative = std::vector<Symbol>;

// What may follow a text of a rule, where that is known: it saves checks at run time.
enum class Follows : uint8_t {
  kUnknown,
  kEnd,   // nothing
  kJson,  // white space, and one of , : ] }
};

struct Rule {
  std::vector<Alternative> alternatives;
  Follows follows = Follows::kUnknown;
};

class Rules {
 public:
  RuleId Add() {
    rules_.emplace_back();
    return static_cast<RuleId>(rules_.size()) - 1;
  }
  RuleId Add(Rule rule) {
    rules_.push_back(std::move(rule));
    return static_cast<RuleId>(rules_.size()) - 1;
  }
  // Stays where it is when others are added.
  Rule& operator[](RuleId rule) { return rules_[static_cast<size_t>(rule)]; }
  const std::deque<Rule>& rules() const { return rules_; }
  RuleId root = 0;

  // Of all rules: symbols, and the bytes and ranges in them.
  int64_t Size() const;
  // What a parser that predicts has to do: over all symbols, the squares of how many others a text
  // that begins there may begin with. Counted up to the limit.
  int64_t Predictions(int64_t limit) const;
  // What a parser that follows all readings at once has to do at its worst place: over all tokens,
  // which begin with each byte so often, the squares of how many places of the grammar such a token
  // may begin in, where there are several. Counted up to the limit.
  int64_t Ambiguity(std::span<const int64_t, 256> beginning, int64_t limit) const;
  // Drops the alternatives that have no text, for want of an end ("a" ::= "x" "a"). Errors: nothing
  // is left.
  Status Prune();
  // The rules that the root needs, as xgrammar's EBNF; the root is called "root".
  std::string Print() const;

 private:
  std::vector<bool> Needed() const;
  // Which rules have a text; without texts_count, which have the empty one.
  std::vector<bool> Closed(bool texts_count) const;
  std::deque<Rule> rules_;
};

}  // namespace merope

// A context-free grammar over characters, in its simplest form: each rule is a list of alternatives
// of texts, character sets and other rules. Every kind of structured output is converted to this
// form. grammar_compiler.cc reads only this form when it compiles for a vocabulary. The code that
// compiles a grammar owns the rules and uses them on its own thread.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "grammar/rules/char_set.h"

namespace merope {

using RuleId = int32_t;
// Either a text in UTF-8, or one character of a set, or a text of a rule.
using Symbol = std::variant<std::string, CharSet, RuleId>;
using Alternative = std::vector<Symbol>;

// The characters that may follow a text of a rule, if they are known. Knowing them saves checks at
// run time.
enum class Follows : uint8_t {
  kUnknown,
  kEnd,   // nothing
  kJson,  // optional white space, then one of , : ] }
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
  // The reference stays valid when other rules are added.
  Rule& operator[](RuleId rule) { return rules_[static_cast<size_t>(rule)]; }
  const std::deque<Rule>& rules() const { return rules_; }
  RuleId root = 0;

  // The size of all rules: alternatives, names of rules, bytes of texts, and ranges of sets.
  int64_t Size() const;
  // Estimates the work of a parser that predicts. For each symbol, the function counts the places
  // where a text that begins at the symbol may begin, and squares the count. The result is the sum
  // of the squares over all symbols, up to the limit.
  int64_t Predictions(int64_t limit) const;
  // Estimates the work, at the worst place, of a parser that follows all readings at once.
  // beginning: the number of tokens that begin with each byte. For each token, the function counts
  // the places of the grammar where the token may begin. If there are several places, the function
  // squares the count. The result is the sum of the squares over all tokens, up to the limit.
  int64_t Ambiguity(std::span<const int64_t, 256> beginning, int64_t limit) const;
  // Drops the alternatives that match no text because they have no end ("a" ::= "x" "a"). Errors:
  // the root matches no text.
  Status Prune();
  // The rules that the root needs, in xgrammar's EBNF. The root has the name "root".
  std::string Print() const;

 private:
  std::vector<bool> Needed() const;
  // For each rule: whether it matches a text. Without texts_count: whether it matches the empty
  // text.
  std::vector<bool> Closed(bool texts_count) const;
  std::deque<Rule> rules_;
};

}  // namespace merope

// A regular language as rules of a grammar: one for each state of its automaton, but for long
// repetitions of one set of characters. Owned by whoever compiles a grammar.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/grammar/regular.h"
#include "engine/grammar/rules.h"

namespace merope {

// How the language's texts are written.
struct TextForm {
  Follows follows = Follows::kUnknown;
  // Appends the alternatives of one character of the set; each ends in `next`.
  void (*add_step)(const CharSet& set, RuleId next, Rule* rule) = AddPlainStep;
  Alternative end = {};  // after the last character

  static void AddPlainStep(const CharSet& set, RuleId next, Rule* rule);
};

class RegularRules {
 public:
  RegularRules(Regular* regular, Rules* rules, TextForm form)
      : regular_(*regular), rules_(*rules), form_(std::move(form)) {}

  // Errors: the automaton grows past its bounds, or the work is spent.
  Result<RuleId> Add(Regular::Term term);

 private:
  RuleId RuleOf(Regular::Term state);
  Result<Rule> Steps(Regular::Term state);
  // In blocks of characters, each of which takes the same rules.
  Rule Blocks(const Regular::Counted& counted);
  // So many characters of the set, at least one.
  RuleId Exactly(const CharSet& set, int64_t count);

  Regular& regular_;
  Rules& rules_;
  TextForm form_;
  std::map<Regular::Term, RuleId> known_;
  std::vector<Regular::Term> pending_;  // states that have a rule, but no alternatives yet
  std::map<std::pair<CharSet, int64_t>, RuleId> exactly_;
};

}  // namespace merope

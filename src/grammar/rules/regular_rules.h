// Converts a regular language to rules of a grammar. Each state of the automaton becomes one rule,
// except in long repetitions of one set of characters. The code that compiles a grammar owns the
// converter and uses it on its own thread.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "grammar/rules/regular.h"
#include "grammar/rules/rules.h"

namespace merope {

// The form in which the texts of the language are written.
struct TextForm {
  Follows follows = Follows::kUnknown;
  // Appends the alternatives for one character of the set. Each alternative ends in `next`.
  void (*add_step)(const CharSet& set, RuleId next, Rule* rule) = AddPlainStep;
  Alternative end = {};  // written after the last character

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
  // Writes a long repetition in blocks of characters. All blocks share the same rules.
  Rule Blocks(const Regular::Counted& counted);
  // Exactly `count` characters of the set. count is at least 1.
  RuleId Exactly(const CharSet& set, int64_t count);

  Regular& regular_;
  Rules& rules_;
  TextForm form_;
  std::map<Regular::Term, RuleId> known_;
  std::vector<Regular::Term> pending_;  // states that have a rule but no alternatives yet
  std::map<std::pair<CharSet, int64_t>, RuleId> exactly_;
};

}  // namespace merope

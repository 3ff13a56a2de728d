// How JSON is written, as rules: white space, strings whose value is of a regular language, any
// value. Text as models write it: compact or with a blank after each comma and colon, or with new
// lines and indentation; never more white space than that, which a model could go on with for ever.
// Owned by whoever compiles a grammar.
#pragma once

#include <map>
#include <optional>

#include "base/error.h"
#include "engine/grammar/regular.h"
#include "engine/grammar/regular_rules.h"
#include "engine/grammar/rules.h"

namespace merope {

class JsonText {
 public:
  JsonText(Regular* regular, Rules* rules);

  RuleId Space();  // nothing, a blank, or a new line and indentation
  RuleId Value();
  RuleId Object();  // any
  RuleId Array();   // any
  RuleId Number();
  // A string, its quotes with it, whose value is in the language.
  Result<RuleId> String(Regular::Term value);
  // Any string; unlike those of other languages, with any escape.
  RuleId AnyString();
  // What is written without quotes: a number.
  Result<RuleId> Bare(Regular::Term text);

 private:
  // One character of the set inside a string, as it is or escaped.
  static void AddStep(const CharSet& set, RuleId next, Rule* rule);

  Regular& regular_;
  Rules& rules_;
  std::optional<RuleId> space_, value_, object_, array_, number_, string_;
  RegularRules after_quote_, bare_;
  std::map<Regular::Term, RuleId> strings_;
};

}  // namespace merope

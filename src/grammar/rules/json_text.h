// Rules for the text of JSON: white space, strings whose value is in a regular language, and any
// value. The rules allow the forms that models write: compact, or with a blank after each comma and
// colon, or with new lines and indentation. The rules allow no more white space, because a model
// could write white space forever. The code that compiles a grammar owns the object and uses it on
// its own thread.
#pragma once

#include <map>
#include <optional>

#include "base/error.h"
#include "grammar/rules/regular.h"
#include "grammar/rules/regular_rules.h"
#include "grammar/rules/rules.h"

namespace merope {

class JsonText {
 public:
  JsonText(Regular* regular, Rules* rules);

  RuleId Space();  // nothing, a blank, or a new line and indentation
  RuleId Value();
  RuleId Object();  // any object
  RuleId Array();   // any array
  RuleId Number();
  // A string with its quotes. The value of the string is in the language.
  Result<RuleId> String(Regular::Term value);
  // Any string. Unlike a string of String, it may contain any escape.
  RuleId AnyString();
  // A text without quotes: a number.
  Result<RuleId> Bare(Regular::Term text);

 private:
  // Appends the alternatives for one character of the set inside a string, plain or escaped.
  static void AddStep(const CharSet& set, RuleId next, Rule* rule);

  Regular& regular_;
  Rules& rules_;
  std::optional<RuleId> space_, value_, object_, array_, number_, string_;
  RegularRules after_quote_, bare_;
  std::map<Regular::Term, RuleId> strings_;
};

}  // namespace merope

// Converts many texts, such as an enum or a choice, to rules that share the beginnings of the
// texts. One mask then serves all texts that begin alike. Pure functions on the thread that
// compiles the grammar.
#pragma once

#include <string>
#include <vector>

#include "grammar/rules/rules.h"

namespace merope {

// Adds the texts, in UTF-8, as alternatives of the rule.
void AddTexts(std::vector<std::string> texts, RuleId rule, Rules* rules);

}  // namespace merope

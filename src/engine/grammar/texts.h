// Many texts as rules that share their beginnings: what an enum or a choice is. A mask is then
// prepared once for all texts that begin alike. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "engine/grammar/rules.h"

namespace merope {

// Adds the texts, in UTF-8, to what the rule may be.
void AddTexts(std::vector<std::string> texts, RuleId rule, Rules* rules);

}  // namespace merope

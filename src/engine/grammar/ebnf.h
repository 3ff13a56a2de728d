// Grammars as people write them, in EBNF as llama.cpp and xgrammar have it, as rules. Pure
// functions.
#pragma once

#include <string_view>

#include "base/error.h"
#include "engine/grammar/rules.h"

namespace merope {

// name ::= "text" | [a-z^] other* (a b){2,3} . # to the end of the line
// The root is called "root". Errors say the line.
Result<Rules> EbnfRules(std::string_view grammar);

}  // namespace merope

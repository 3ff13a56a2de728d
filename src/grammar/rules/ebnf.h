// Converts an EBNF grammar that a person wrote, in the syntax of llama.cpp and xgrammar, to rules.
// Pure functions, called by grammar_compiler.cc.
#pragma once

#include <string_view>

#include "base/error.h"
#include "grammar/rules/rules.h"

namespace merope {

// An example of the syntax:
//   name ::= "text" | [a-z^] other* (a b){2,3} . # a comment to the end of the line
// The root rule is called "root". An error names the line.
Result<Rules> EbnfRules(std::string_view grammar);

}  // namespace merope

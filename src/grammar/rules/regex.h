// Converts regular expressions in the syntax of Python's `re` to regular languages. An expression
// that is not a regular language or is not supported is refused. The error names the construct and
// its place. Pure functions, called by grammar_compiler.cc and the compiler of JSON schemas.
#pragma once

#include <string_view>

#include "base/error.h"
#include "grammar/rules/regular.h"

namespace merope {

// The texts that re.fullmatch matches, with one difference: \d, \w and \s contain only the common
// characters of Unicode.
Result<Regular::Term> ParseRegex(std::string_view regex, Regular* regular);

// The texts in which both re.search and JavaScript find a match. A JSON schema's "pattern" has this
// meaning.
Result<Regular::Term> ParseSearchRegex(std::string_view regex, Regular* regular);

}  // namespace merope

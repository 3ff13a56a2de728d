// Regular expressions as Python's `re` writes them, as regular languages. What is no regular
// language, or is not supported, is refused by name, with its place. Pure functions.
#pragma once

#include <string_view>

#include "base/error.h"
#include "engine/grammar/regular.h"

namespace merope {

// The texts that re.fullmatch finds the whole of to match: all of them, but that \d, \w and \s take
// of Unicode's characters only the common ones.
Result<Regular::Term> ParseRegex(std::string_view regex, Regular* regular);

// The texts that re.search finds a match in, and so does JavaScript: a JSON schema's "pattern".
Result<Regular::Term> ParseSearchRegex(std::string_view regex, Regular* regular);

}  // namespace merope

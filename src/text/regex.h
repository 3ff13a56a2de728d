// Regular expressions of tokenizer files, on Oniguruma, whose dialect they are written in, with
// limits on the nesting of a pattern and on the work of one match. Immutable: safe on any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace merope {

struct TextRange {
  size_t begin, end;
};
// Appends the matches in text, in order and without overlap; a match may be empty.
using Matcher = std::function<Status(std::string_view text, std::vector<TextRange>* matches)>;

// where names the file and field in errors.
Result<Matcher> RegexMatcher(const std::string& pattern, const std::string& where);
// Every occurrence of a fixed string; none of an empty one.
Matcher LiteralMatcher(std::string literal);

}  // namespace merope

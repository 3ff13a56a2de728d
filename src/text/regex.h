// Matches the regular expressions of tokenizer files with Oniguruma, because these files use
// Oniguruma's dialect. The code limits the nesting of a pattern and the work of one match. The
// readers of tokenizer files make matchers. A matcher is immutable, so it is safe on any thread.
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
// Appends the matches in text, in order and without overlap. A match may be empty.
using Matcher = std::function<Status(std::string_view text, std::vector<TextRange>* matches)>;

// where: the file and the field, for errors.
Result<Matcher> RegexMatcher(const std::string& pattern, const std::string& where);
// Matches every occurrence of a fixed string. An empty string has no matches.
Matcher LiteralMatcher(std::string literal);

}  // namespace merope

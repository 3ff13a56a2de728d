// Formats a token as text for tables. Control characters, and bytes that are not valid UTF-8,
// become escapes. Called by the suite and the terminal tables. Pure functions: any thread may call
// them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace merope {

std::string EscapeText(std::string_view bytes);  // "\n", "\x1b", "\xe4"
std::string TokenText(const Tokenizer& tokenizer, int32_t id);
// TokenText of this tokenizer, which must outlive the function.
std::function<std::string(int32_t id)> TokenNamesOf(const Tokenizer& tokenizer);

// The number of columns that a text takes on a terminal. East Asian wide characters take two
// columns, and combining marks take none.
int64_t DisplayWidth(std::string_view text);
// Returns the text with a width of exactly `columns` columns (≥ 1). A text that is too wide is cut
// and ends in "…". A text that is too narrow is filled up with spaces.
std::string FitWidth(std::string_view text, int64_t columns);

}  // namespace merope

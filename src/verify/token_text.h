// A token as text for tables: control characters and bytes that are no UTF-8 written as escapes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace merope {

std::string EscapeText(std::string_view bytes);  // "\n", "\x1b", "\xe4"
std::string TokenText(const Tokenizer& tokenizer, int32_t id);

// Columns a terminal gives a text: East Asian wide characters take two.
int64_t DisplayWidth(std::string_view text);
// The text, cut with "…" or filled up with spaces to exactly that many columns.
std::string FitWidth(std::string_view text, int64_t columns);

}  // namespace merope

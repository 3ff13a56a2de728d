// Text inside of HTML and SVG. Pure functions; called by the writers of both.
#pragma once

#include <string>
#include <string_view>

namespace merope {

// Writes & < > " as entities. Writes U+FFFD for a byte that is not UTF-8 and for a character that
// XML does not allow.
std::string EscapeMarkup(std::string_view text);

}  // namespace merope

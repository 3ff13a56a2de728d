// A small check of HTML and SVG. Tags must open and close in order, attributes must be in quotes,
// and < and & must not stand alone.
#pragma once

#include <string>
#include <string_view>

namespace merope {

// Returns the first fault of the markup and its place, or an empty string. The elements meta and br
// may stay open, as in HTML.
std::string MarkupFault(std::string_view markup);

}  // namespace merope

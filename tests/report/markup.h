// A small check of HTML and SVG: tags that open and close in order, attributes in quotes, no stray
// < or &.
#pragma once

#include <string>
#include <string_view>

namespace merope {

// What is wrong with the markup, and where; empty where nothing is. Elements that HTML leaves open
// (meta) may stay open.
std::string MarkupFault(std::string_view markup);

}  // namespace merope

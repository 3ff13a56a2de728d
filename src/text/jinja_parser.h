// From tokens to trees. What this Jinja lacks is refused by name, with the line.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "text/jinja_ast.h"

namespace merope::jinja {

Result<Body> ParseTemplate(std::string_view source, const std::string& file);

}  // namespace merope::jinja

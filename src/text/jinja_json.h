// JSON as the values of a chat template.
#pragma once

#include <string>
#include <string_view>

#include "text/jinja_value.h"

namespace merope::jinja {

// Mappings keep the order that the text has them in. what names it in errors.
Result<Value> FromJson(std::string_view text, const std::string& what);

}  // namespace merope::jinja

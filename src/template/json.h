// Converts JSON to the values of a chat template. The code in src/prompt calls FromJson.
#pragma once

#include <string>
#include <string_view>

#include "template/value.h"

namespace merope::jinja {

// Mappings keep the order of the text. what: the name of text, for errors.
Result<Value> FromJson(std::string_view text, const std::string& what);

}  // namespace merope::jinja

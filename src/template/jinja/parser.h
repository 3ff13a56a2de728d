// Parses a template into statement trees. An unsupported feature is an error that names the feature
// and the line. Template::Parse calls ParseTemplate.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "template/jinja/ast.h"

namespace merope::jinja {

Result<Body> ParseTemplate(std::string_view source, const std::string& file);

}  // namespace merope::jinja

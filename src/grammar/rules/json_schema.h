// Converts JSON schemas (2020-12, and the keywords that earlier drafts share with it) to rules. The
// rules match valid documents. Properties come in the order of the schema. Properties that the
// schema does not name are allowed in two cases: the schema asks for them (patternProperties,
// additionalProperties, propertyNames), or the schema names no properties. If a keyword would let
// invalid documents through, the schema is refused, and the error names the keyword. Pure
// functions, called by grammar_compiler.cc.
#pragma once

#include <string_view>

#include "base/error.h"
#include "grammar/rules/rules.h"

namespace merope {

Result<Rules> JsonSchemaRules(std::string_view schema);

// Any JSON object.
Rules JsonObjectRules();

}  // namespace merope

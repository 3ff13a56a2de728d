// JSON schemas (2020-12, and what earlier drafts share with it) as rules: documents that are valid,
// properties in the schema's order, no others than it names unless additionalProperties says so.
// What would let invalid documents through is refused by the keyword's name. Pure functions.
#pragma once

#include <string_view>

#include "base/error.h"
#include "engine/grammar/rules.h"

namespace merope {

Result<Rules> JsonSchemaRules(std::string_view schema);

// Any JSON object.
Rules JsonObjectRules();

}  // namespace merope

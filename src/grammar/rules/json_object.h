// Converts JSON objects with known and other properties to rules. json_schema_object.cc calls
// AddObject on the thread that compiles the grammar.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "grammar/rules/json_text.h"
#include "grammar/rules/rules.h"

namespace merope {

// The known properties come first, in their order. Other properties follow, as many as max allows.
struct ObjectShape {
  struct Known {
    std::string name;
    RuleId value = 0;
    bool required = false;
  };
  struct Other {
    RuleId name = 0, value = 0;
  };
  std::vector<Known> known;
  std::vector<Other> others;
  // The least and the greatest number of properties. Two other properties may have the same name,
  // so only the first other property counts for min.
  int64_t min = 0;
  std::optional<int64_t> max;
};

// Adds the objects as alternatives of the rule. Errors: the objects need too many rules.
Status AddObject(const ObjectShape& shape, JsonText* text, Rules* rules, RuleId rule);

}  // namespace merope

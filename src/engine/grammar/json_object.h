// JSON objects with known and other properties, as rules.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/grammar/json_text.h"
#include "engine/grammar/rules.h"

namespace merope {

// The known properties come first, in their order; then others, as many as may.
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
  // Of all properties. A name may come twice among the others, so of them only the first counts
  // for min.
  int64_t min = 0;
  std::optional<int64_t> max;
};

// Adds the objects to what the rule may be.
Status AddObject(const ObjectShape& shape, JsonText* text, Rules* rules, RuleId rule);

}  // namespace merope

// Numbers between bounds, as decimals are written. Pure functions of the terms they add.
#pragma once

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "engine/grammar/regular.h"

namespace merope {

struct NumberBounds {
  std::optional<double> min, max, above, below;  // >=, <=, >, <
  std::optional<int64_t> multiple_of;            // 1 to 1,000
};

// Integers: where no bound says more, of at most 15 digits, which doubles hold exactly.
Result<Regular::Term> Integers(const NumberBounds& bounds, Regular* regular);
// Decimals without exponents, with up to 6 digits after the point, or as many as a bound has.
Result<Regular::Term> Decimals(const NumberBounds& bounds, Regular* regular);

}  // namespace merope

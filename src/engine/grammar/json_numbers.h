// Numbers between bounds, as decimals are written. Pure functions of the terms they add.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/grammar/regular.h"

namespace merope {

// A number as it is written, of any size: 0.digits times ten to the exponent. Integers, and doubles
// too large to have a fraction, are exact; other doubles are the shortest decimal that reads as
// they do.
struct Decimal {
  bool negative = false;
  std::string digits;  // neither begins nor ends with zeros; of 0 empty
  int64_t exponent = 0;

  static Decimal Of(std::string_view json);  // a JSON number's text
  bool is_zero() const { return digits.empty(); }
  std::string Whole() const;     // of its absolute value: "0" or without zeros before it
  std::string Fraction() const;  // the digits after its point, none of them zeros at the end
  std::string Text() const;      // the same for equal numbers
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);
  friend bool operator==(const Decimal&, const Decimal&) = default;
};

struct NumberBounds {
  std::optional<Decimal> min, max, above, below;  // >=, <=, >, <
  std::optional<int64_t> multiple_of;             // 1 to 1,000
};

// Integers of 64 bits: unsigned ones where a bound says so.
Result<Regular::Term> Integers(const NumberBounds& bounds, Regular* regular);
// Decimals without exponents, with up to 6 digits after the point, or as many as a bound has.
Result<Regular::Term> Decimals(const NumberBounds& bounds, Regular* regular);

}  // namespace merope

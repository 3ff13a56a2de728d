// Numbers between bounds, as terms of their decimal texts. Pure functions, except that they add
// terms to *regular. The code that compiles JSON schemas calls them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "grammar/rules/regular.h"

namespace merope {

// A decimal number of any size: 0.digits times ten to the power of the exponent. Integers are
// exact. Doubles that are too large to have a fraction are exact too. Every other double is the
// shortest decimal that reads back as the same double.
struct Decimal {
  bool negative = false;
  std::string digits;  // no zeros at the beginning or the end; empty for 0
  int64_t exponent = 0;

  static Decimal Of(std::string_view json);  // a JSON number's text
  bool is_zero() const { return digits.empty(); }
  std::string Whole() const;     // whole part of the absolute value, no leading zeros; "0" if none
  std::string Fraction() const;  // the digits after the point, without zeros at the end
  std::string Text() const;      // equal numbers have the same text
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);
  friend bool operator==(const Decimal&, const Decimal&) = default;
};

struct NumberBounds {
  std::optional<Decimal> min, max, above, below;  // >=, <=, >, <
  std::optional<int64_t> multiple_of;             // 1 to 1,000
};

// Integers from −2^63 to 2^63 − 1. A bound above 2^63 − 1 raises the upper end to at most 2^64 − 1.
Result<Regular::Term> Integers(const NumberBounds& bounds, Regular* regular);
// Decimals without an exponent. They have up to 6 digits after the point, or as many as a bound
// has.
Result<Regular::Term> Decimals(const NumberBounds& bounds, Regular* regular);

}  // namespace merope

#include "engine/grammar/json_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace merope {
namespace {

// Doubles tell all decimals of so many digits apart.
constexpr size_t kExactDigits = 15;

// A bound's absolute value as it is written: no leading zeros in whole but "0" itself, no trailing
// ones in fraction.
struct Decimal {
  std::string whole = "0", fraction = {};
  bool is_zero() const { return whole == "0" && fraction.empty(); }
};

Result<Decimal> ToDecimal(double value) {
  Decimal decimal;
  std::string text = fmt::format("{}", std::fabs(value));
  int exponent = 0;
  if (const size_t e = text.find('e'); e != text.npos) {
    exponent = std::stoi(text.substr(e + 1));
    text.resize(e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits = text.substr(0, point) + (point < text.size() ? text.substr(point + 1) : "");
  const int64_t whole_digits = static_cast<int64_t>(point) + exponent;
  if (whole_digits > 19 || whole_digits < -19) {
    return Err("a bound of {}: expected at most 19 digits before and after the point", value);
  }
  if (whole_digits <= 0) digits.insert(0, static_cast<size_t>(1 - whole_digits), '0');
  const auto split = static_cast<size_t>(std::max<int64_t>(whole_digits, 1));
  if (digits.size() < split) digits.append(split - digits.size(), '0');
  decimal.whole = digits.substr(0, split);
  decimal.fraction = digits.substr(split);
  while (decimal.whole.size() > 1 && decimal.whole[0] == '0') decimal.whole.erase(0, 1);
  while (decimal.fraction.ends_with('0')) decimal.fraction.pop_back();
  return decimal;
}

// Terms for one number format: at most so many digits on either side of the point.
class Digits {
 public:
  Digits(size_t whole, size_t fraction, Regular* regular)
      : whole_(static_cast<int64_t>(whole)),
        fraction_(static_cast<int64_t>(fraction)),
        r_(*regular) {}

  Regular::Term AtMost(const Decimal& bound, bool or_equal) {
    return r_.Either({r_.Join(WholeAround(bound.whole, false), AnyFraction()),
                      r_.Join(r_.Text(bound.whole), FractionBelow(bound.fraction, or_equal))});
  }
  Regular::Term AtLeast(const Decimal& bound, bool or_equal) {
    return r_.Either({r_.Join(WholeAround(bound.whole, true), AnyFraction()),
                      r_.Join(r_.Text(bound.whole), FractionAbove(bound.fraction, or_equal))});
  }
  Regular::Term Any() {
    return r_.Join(r_.Either({r_.Text("0"), r_.Join(Between('1', '9'), Some(0, whole_ - 1))}),
                   AnyFraction());
  }

 private:
  Regular::Term Between(char first, char last) {
    if (first > last) return Regular::kNothing;
    return r_.Set(CharSet({{static_cast<char32_t>(first), static_cast<char32_t>(last)}}));
  }
  Regular::Term Some(int64_t min, int64_t max) {
    return r_.Repeat(Between('0', '9'), min, std::max<int64_t>(max, 0));
  }
  Regular::Term AnyFraction() {
    return fraction_ == 0 ? Regular::kEmpty
                          : r_.Optional(r_.Join(r_.Text("."), Some(1, fraction_)));
  }
  // Whole numbers less than the bound, or greater.
  Regular::Term WholeAround(std::string_view bound, bool above) {
    std::vector<Regular::Term> parts;
    const auto size = static_cast<int64_t>(bound.size());
    for (size_t i = 0; i < bound.size(); ++i) {  // the first digit that differs
      const char lowest = i == 0 && size > 1 ? '1' : '0';
      const Regular::Term digit = above ? Between(std::max<char>(bound[i] + 1, lowest), '9')
                                        : Between(lowest, static_cast<char>(bound[i] - 1));
      const auto rest = size - static_cast<int64_t>(i) - 1;
      parts.push_back(r_.Join({r_.Text(bound.substr(0, i)), digit, Some(rest, rest)}));
    }
    if (above && whole_ > size) {
      parts.push_back(r_.Join(Between('1', '9'), Some(size, whole_ - 1)));
    } else if (!above && size > 1) {
      parts.push_back(r_.Text("0"));
      parts.push_back(r_.Join(Between('1', '9'), Some(0, size - 2)));
    }
    return r_.Either(std::move(parts));
  }
  // The bound's own digits, then only zeros.
  Regular::Term Same(std::string_view bound) {
    const auto left = fraction_ - static_cast<int64_t>(bound.size());
    const Regular::Term zeros = r_.Repeat(r_.Text("0"), bound.empty() ? 1 : 0, left);
    const Regular::Term text = r_.Join({r_.Text("."), r_.Text(bound), zeros});
    return bound.empty() ? r_.Optional(text) : text;
  }
  Regular::Term FractionBelow(std::string_view bound, bool or_equal) {
    if (fraction_ == 0) return bound.empty() && !or_equal ? Regular::kNothing : Regular::kEmpty;
    std::vector<Regular::Term> parts;
    if (!bound.empty()) parts.push_back(Same(""));
    for (size_t i = 0; i < bound.size(); ++i) {
      const auto left = fraction_ - static_cast<int64_t>(i) - 1;
      parts.push_back(r_.Join({r_.Text("."), r_.Text(bound.substr(0, i)),
                               Between('0', static_cast<char>(bound[i] - 1)), Some(0, left)}));
      if (i > 0) parts.push_back(r_.Join(r_.Text("."), r_.Text(bound.substr(0, i))));
    }
    if (or_equal) parts.push_back(Same(bound));
    return r_.Either(std::move(parts));
  }
  Regular::Term FractionAbove(std::string_view bound, bool or_equal) {
    if (fraction_ == 0) return bound.empty() && or_equal ? Regular::kEmpty : Regular::kNothing;
    std::vector<Regular::Term> parts;
    for (size_t i = 0; i < bound.size(); ++i) {
      const auto left = fraction_ - static_cast<int64_t>(i) - 1;
      parts.push_back(r_.Join({r_.Text("."), r_.Text(bound.substr(0, i)),
                               Between(static_cast<char>(bound[i] + 1), '9'), Some(0, left)}));
    }
    // The bound's digits, and then one that is not zero.
    const auto left = fraction_ - static_cast<int64_t>(bound.size());
    if (left > 0) {
      const Regular::Term more =
          r_.Both(Some(1, left), r_.Join({Some(0, left), Between('1', '9'), Some(0, left)}));
      parts.push_back(r_.Join({r_.Text("."), r_.Text(bound), more}));
    }
    if (or_equal) parts.push_back(Same(bound));
    return r_.Either(std::move(parts));
  }

  int64_t whole_, fraction_;
  Regular& r_;
};

struct Bound {
  double value = 0;
  bool or_equal = true;
};

// The stricter of an inclusive and an exclusive bound.
std::optional<Bound> Stricter(std::optional<double> with, std::optional<double> without,
                              bool lower) {
  if (!with && !without) return std::nullopt;
  if (!without) return Bound{*with, true};
  if (!with || (lower ? *without >= *with : *without <= *with)) return Bound{*without, false};
  return Bound{*with, true};
}

// Numbers of one sign, without it, between bounds on their absolute value.
Result<Regular::Term> OneSign(Digits* digits, std::optional<Bound> low, std::optional<Bound> high,
                              Regular* regular) {
  Regular::Term term = digits->Any();
  if (low) {
    TRY_ASSIGN(const Decimal bound, ToDecimal(low->value));
    term = regular->Both(term, digits->AtLeast(bound, low->or_equal));
  }
  if (high) {
    TRY_ASSIGN(const Decimal bound, ToDecimal(high->value));
    term = regular->Both(term, digits->AtMost(bound, high->or_equal));
  }
  return term;
}

Result<Regular::Term> Numbers(const NumberBounds& bounds, size_t fraction, Regular* regular) {
  const auto low = Stricter(bounds.min, bounds.above, true);
  const auto high = Stricter(bounds.max, bounds.below, false);
  size_t needed = 1, finest = 0;
  for (const auto& bound : {low, high}) {
    if (!bound) continue;
    TRY_ASSIGN(const Decimal decimal, ToDecimal(bound->value));
    needed = std::max(needed, decimal.whole.size());
    finest = std::max(finest, decimal.fraction.size());
  }
  if (fraction > 0) {
    fraction = std::max(finest, std::min(fraction, kExactDigits - std::min(needed, kExactDigits)));
    // Finer decimals than doubles tell apart might round to an exclusive bound.
    for (const auto& bound : {low, high}) {
      if (!bound || bound->or_equal || needed + fraction <= kExactDigits) continue;
      return Err("an exclusive bound of {}: expected at most {} digits", bound->value,
                 kExactDigits);
    }
  }
  const size_t whole = std::max(needed, kExactDigits - std::min(fraction, kExactDigits - 1));
  Digits digits(whole, fraction, regular);
  std::vector<Regular::Term> signs;
  if (!high || high->value > 0 || (high->value == 0 && high->or_equal)) {
    const bool from_zero = !low || low->value < 0;
    TRY_ASSIGN(const auto term, OneSign(&digits, from_zero ? std::nullopt : low, high, regular));
    signs.push_back(term);
  }
  if (!low || low->value < 0) {
    const bool from_zero = !high || high->value >= 0;  // no "-0"
    const Bound least = from_zero ? Bound{0, false} : *high;
    TRY_ASSIGN(const auto term, OneSign(&digits, least, low, regular));
    signs.push_back(regular->Join(regular->Text("-"), term));
  }
  Regular::Term term = regular->Either(std::move(signs));
  if (bounds.multiple_of) {
    const Regular::Term sign = regular->Optional(regular->Text("-"));
    term = regular->Both(term, regular->Join(sign, regular->Multiple(*bounds.multiple_of)));
  }
  TRY_ASSIGN(const bool any, regular->HasText(term));
  if (!any) return Err("no number is within its bounds");
  return term;
}

}  // namespace

Result<Regular::Term> Integers(const NumberBounds& bounds, Regular* regular) {
  return Numbers(bounds, 0, regular);
}

Result<Regular::Term> Decimals(const NumberBounds& bounds, Regular* regular) {
  return Numbers(bounds, 6, regular);
}

}  // namespace merope

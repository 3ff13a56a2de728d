#include "grammar/rules/json_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace merope {
namespace {

// Doubles distinguish all decimals of up to this many digits.
constexpr size_t kExactDigits = 15;

// The maximum number of digits of a bound before or after the point.
constexpr int64_t kMaxDigits = 20;

// The absolute value of a bound: the digits before and after the point.
struct Parts {
  std::string whole = "0", fraction = {};
};

Result<Parts> PartsOf(const Decimal& bound) {
  if (bound.exponent > kMaxDigits || bound.exponent < -kMaxDigits) {
    return Err("a bound of {}: expected at most {} digits before and after the point",
               std::strtod(bound.Text().c_str(), nullptr), kMaxDigits);
  }
  return Parts{bound.Whole(), bound.Fraction()};
}

// Makes terms for one number format: at most `whole` digits before the point, and at most
// `fraction` digits after the point.
class Digits {
 public:
  Digits(size_t whole, size_t fraction, Regular* regular)
      : whole_(static_cast<int64_t>(whole)),
        fraction_(static_cast<int64_t>(fraction)),
        r_(*regular) {}

  Regular::Term AtMost(const Parts& bound, bool or_equal) {
    return r_.Either({r_.Join(WholeAround(bound.whole, false), AnyFraction()),
                      r_.Join(r_.Text(bound.whole), FractionBelow(bound.fraction, or_equal))});
  }
  Regular::Term AtLeast(const Parts& bound, bool or_equal) {
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
  // Whole numbers that are less than the bound, or greater if `above` is true.
  Regular::Term WholeAround(std::string_view bound, bool above) {
    std::vector<Regular::Term> parts;
    const auto size = static_cast<int64_t>(bound.size());
    for (size_t i = 0; i < bound.size(); ++i) {  // i: the first digit that differs
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
  // The digits of the bound, followed only by zeros.
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
    // The digits of the bound, then more digits, at least one of which is not zero.
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
  Decimal value;
  bool or_equal = true;
};

// The stricter of an inclusive and an exclusive bound.
std::optional<Bound> Stricter(const std::optional<Decimal>& with,
                              const std::optional<Decimal>& without, bool lower) {
  if (!with && !without) return std::nullopt;
  if (!without) return Bound{*with, true};
  if (!with || (lower ? *without >= *with : *without <= *with)) return Bound{*without, false};
  return Bound{*with, true};
}

// Numbers of one sign, between bounds on their absolute value. The texts do not contain the sign.
Result<Regular::Term> OneSign(Digits* digits, const std::optional<Bound>& low,
                              const std::optional<Bound>& high, Regular* regular) {
  Regular::Term term = digits->Any();
  if (low) {
    TRY_ASSIGN(const Parts bound, PartsOf(low->value));
    term = regular->Both(term, digits->AtLeast(bound, low->or_equal));
  }
  if (high) {
    TRY_ASSIGN(const Parts bound, PartsOf(high->value));
    term = regular->Both(term, digits->AtMost(bound, high->or_equal));
  }
  return term;
}

Result<Regular::Term> Numbers(const NumberBounds& bounds, const std::optional<Bound>& low,
                              const std::optional<Bound>& high, size_t fraction, Regular* regular) {
  static const Decimal zero;
  size_t needed = 1, finest = 0;
  for (const auto& bound : {low, high}) {
    if (!bound) continue;
    TRY_ASSIGN(const Parts parts, PartsOf(bound->value));
    needed = std::max(needed, parts.whole.size());
    finest = std::max(finest, parts.fraction.size());
  }
  // A reader takes a number with a fraction as a double. The double may differ from the written
  // number and lie beyond the bound. An integer is exact.
  if (needed > kExactDigits) fraction = 0;
  if (fraction > 0) {
    fraction = std::max(finest, std::min(fraction, kExactDigits - needed));
    // A decimal with more digits than doubles distinguish might round to an exclusive bound.
    for (const auto& bound : {low, high}) {
      if (!bound || bound->or_equal || needed + fraction <= kExactDigits) continue;
      return Err("an exclusive bound of {}: expected at most {} digits", bound->value.Text(),
                 kExactDigits);
    }
  }
  const size_t whole = std::max(needed, kExactDigits - std::min(fraction, kExactDigits - 1));
  Digits digits(whole, fraction, regular);
  std::vector<Regular::Term> signs;
  if (!high || high->value > zero || (high->value == zero && high->or_equal)) {
    const bool from_zero = !low || low->value < zero;
    TRY_ASSIGN(const auto term, OneSign(&digits, from_zero ? std::nullopt : low, high, regular));
    signs.push_back(term);
  }
  if (!low || low->value < zero) {
    const bool from_zero = !high || high->value >= zero;  // no "-0"
    const Bound least = from_zero ? Bound{zero, false} : *high;
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

Decimal Decimal::Of(std::string_view json) {
  std::string text(json);
  if (text.find_first_of(".eE") != text.npos) {
    const double value = std::strtod(text.c_str(), nullptr);
    text = std::fabs(value) < 0x1p53 ? fmt::format("{}", value) : fmt::format("{:.0f}", value);
  }
  Decimal decimal{.negative = text[0] == '-', .digits = {}, .exponent = 0};
  if (decimal.negative) text.erase(0, 1);
  if (const size_t e = text.find('e'); e != text.npos) {
    decimal.exponent = std::stoi(text.substr(e + 1));
    text.resize(e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  decimal.exponent += static_cast<int64_t>(point);
  if (point < text.size()) text.erase(point, 1);
  const size_t first = std::min(text.find_first_not_of('0'), text.size());
  decimal.exponent -= static_cast<int64_t>(first);
  decimal.digits = text.substr(first);
  while (decimal.digits.ends_with('0')) decimal.digits.pop_back();
  return decimal.is_zero() ? Decimal{} : decimal;
}

std::string Decimal::Whole() const {
  if (exponent <= 0) return "0";
  std::string whole = digits.substr(0, static_cast<size_t>(exponent));
  whole.resize(static_cast<size_t>(exponent), '0');
  return whole;
}

std::string Decimal::Fraction() const {
  if (exponent <= 0) return std::string(static_cast<size_t>(-exponent), '0') + digits;
  return digits.substr(std::min(static_cast<size_t>(exponent), digits.size()));
}

std::string Decimal::Text() const {
  const std::string sign = negative ? "-" : "";
  if (exponent < -kMaxDigits || exponent > kMaxDigits) {
    return fmt::format("{}0.{}e{}", sign, digits, exponent);
  }
  const std::string fraction = Fraction();
  return sign + Whole() + (fraction.empty() ? "" : "." + fraction);
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return b.negative <=> a.negative;
  const Decimal &less = a.negative ? b : a, &more = a.negative ? a : b;
  if (a.is_zero() || b.is_zero()) return b.is_zero() <=> a.is_zero();
  if (a.exponent != b.exponent) return less.exponent <=> more.exponent;
  return less.digits <=> more.digits;
}

Result<Regular::Term> Integers(const NumberBounds& bounds, Regular* regular) {
  static const Decimal least = Decimal::Of("-9223372036854775808"),
                       most = Decimal::Of("9223372036854775807"),
                       most_unsigned = Decimal::Of("18446744073709551615");
  auto low = Stricter(bounds.min, bounds.above, true);
  auto high = Stricter(bounds.max, bounds.below, false);
  if (!high) high = Bound{low && low->value >= most ? most_unsigned : most};
  if (high->value > most_unsigned) high = Bound{most_unsigned};
  if (!low || low->value < least) low = Bound{least};
  if (low->value > high->value) return Err("no number is within its bounds");
  return Numbers(bounds, low, high, 0, regular);
}

Result<Regular::Term> Decimals(const NumberBounds& bounds, Regular* regular) {
  return Numbers(bounds, Stricter(bounds.min, bounds.above, true),
                 Stricter(bounds.max, bounds.below, false), 6, regular);
}

}  // namespace merope

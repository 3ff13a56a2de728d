#include "verify/digits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace merope {
namespace {

std::string PowerOfTen(int exponent) {
  constexpr std::string_view kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = "×10";
  for (const char c : std::to_string(exponent))
    text += c == '-' ? std::string_view("⁻") : kDigits[c - '0'];
  return text;
}

double Factor(Unit unit) { return unit == Unit::kShare ? 100 : 1; }
std::string_view Suffix(Unit unit) { return unit == Unit::kShare ? " %" : ""; }

}  // namespace

std::string Number(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return fmt::format("{}", value);
  const double size = std::abs(value);
  if (size >= 1e-4 && size < 1e6) {
    const int decimals = digits - 1 - static_cast<int>(std::floor(std::log10(size)));
    return fmt::format("{:.{}f}", value, std::max(0, decimals));
  }
  const std::string scientific = fmt::format("{:.{}e}", value, digits - 1);  // "4.10e-05"
  const size_t e = scientific.find('e');
  return scientific.substr(0, e) + PowerOfTen(std::stoi(scientific.substr(e + 1)));
}

std::string ValueText(Unit unit, double value) {
  if (unit == Unit::kCount) return fmt::format("{:.0f}", value);
  if (unit == Unit::kNumber && value > 0.9 && value <= 1) return fmt::format("{:.6f}", value);
  const double shown = value * Factor(unit);
  const bool whole = unit == Unit::kShare && std::abs(shown) >= 10;
  const int digits = std::abs(shown) >= 100 ? 5 : 3;
  return (whole ? fmt::format("{:.2f}", shown) : Number(shown, digits)) + std::string(Suffix(unit));
}

MeasuredText Measured(Unit unit, double value, const std::optional<Interval>& interval) {
  if (!interval) return {ValueText(unit, value), "—"};
  const double factor = Factor(unit);
  const double width = (interval->high - interval->low) * factor;
  const double largest =
      factor * std::max({std::abs(value), std::abs(interval->low), std::abs(interval->high)});
  if (!(width > 0) || !std::isfinite(largest))
    return {ValueText(unit, value), fmt::format("[{}, {}]", ValueText(unit, interval->low),
                                                ValueText(unit, interval->high))};
  const int exponent =
      largest >= 1e-3 && largest < 1e6 ? 0 : static_cast<int>(std::floor(std::log10(largest)));
  const double power = std::pow(10.0, exponent);
  const int decimals =
      std::clamp(1 - static_cast<int>(std::floor(std::log10(width / power))), 0, 12);
  const auto text = [&](double x) {
    return fmt::format("{:.{}f}{}{}", x * factor / power, decimals,
                       exponent == 0 ? "" : PowerOfTen(exponent), Suffix(unit));
  };
  return {text(value), fmt::format("[{}, {}]", text(interval->low), text(interval->high))};
}

std::string LimitText(Unit unit, const GateResult& gate) {
  const auto text = [unit](double limit) {
    return fmt::format("{:g}{}", limit * Factor(unit), Suffix(unit));
  };
  if (gate.min && gate.max && *gate.min == -*gate.max) return "± " + text(*gate.max);
  if (gate.min && gate.max) return fmt::format("{} … {}", text(*gate.min), text(*gate.max));
  if (gate.min) return (gate.strict ? "> " : "≥ ") + text(*gate.min);
  if (gate.max) return (gate.strict ? "< " : "≤ ") + text(*gate.max);
  return "—";
}

}  // namespace merope

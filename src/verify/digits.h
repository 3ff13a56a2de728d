// Figures as people read them, by one rule for terminal, Markdown and HTML.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "verify/verdict.h"

namespace merope {

std::string Number(double value, int digits = 3);  // significant digits; "4.1×10⁻⁵" where small

// What a figure counts in.
enum class Unit : uint8_t { kNumber, kShare, kCount };
// By itself: three significant digits, five from 100 on; six decimals close to 1; shares in
// percent.
std::string ValueText(Unit unit, double value);
// With an interval, all three have the decimals (and the power of ten) that show two digits of the
// interval's width. ends: "[0.0011, 0.0019]", "—" without an interval.
struct MeasuredText {
  std::string value, ends;
};
MeasuredText Measured(Unit unit, double value, const std::optional<Interval>& interval);
// "≤ 0.005", "< 1 %", "± 0.002", "—".
std::string LimitText(Unit unit, const GateResult& gate);

}  // namespace merope

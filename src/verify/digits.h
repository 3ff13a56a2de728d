// Formats figures for people. The terminal, Markdown and HTML output use the same rules. Called by
// the tables of `merope verify` and `merope report`. Pure functions: any thread may call them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "verify/verdict.h"

namespace merope {

// digits: significant digits. A magnitude below 10⁻⁴, or from 10⁶ on, has a power of ten:
// "4.10×10⁻⁵".
std::string Number(double value, int digits = 3);

// The unit of a figure. kShare: values are fractions of 1, and the text is in percent.
enum class Unit : uint8_t { kNumber, kShare, kCount };
// The text of a value without an interval. Numbers have three significant digits, or five from 100
// on. Numbers above 0.9 and up to 1 have six decimals. Shares are in percent, with three
// significant digits, or two decimals from 10 % on. Counts have no decimals.
std::string ValueText(Unit unit, double value);
// The text of a value with its interval. The value and both ends have the same number of decimals,
// and the same power of ten, so that the width of the interval shows two digits. ends: "[0.0011,
// 0.0019]", or "—" without an interval.
struct MeasuredText {
  std::string value, ends;
};
MeasuredText Measured(Unit unit, double value, const std::optional<Interval>& interval);
// The text of the gate's limit: "≤ 0.005", "< 1 %", "± 0.002", or "—" if the gate has no limit.
std::string LimitText(Unit unit, const GateResult& gate);

}  // namespace merope

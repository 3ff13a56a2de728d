#include "verify/verdict.h"

#include <cmath>

namespace merope {

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kInconclusive:
      return "INCONCLUSIVE";
    case Verdict::kFail:
      return "FAIL";
  }
  return "";
}

void Judge(GateResult* gate, int64_t positions) {
  const Interval range = gate->interval.value_or(Interval{gate->value, gate->value});
  const auto inside = [&](double x) {
    if (gate->min && (gate->strict ? x <= *gate->min : x < *gate->min)) return false;
    return !(gate->max && (gate->strict ? x >= *gate->max : x > *gate->max));
  };
  gate->positions_needed = 0;
  const bool wholly_below = gate->min && range.high < *gate->min;
  const bool wholly_above = gate->max && range.low > *gate->max;
  const bool outside = !gate->interval || wholly_below || wholly_above;
  if (std::isfinite(gate->value) && inside(range.low) && inside(range.high)) {
    gate->verdict = Verdict::kPass;
  } else if (!std::isfinite(gate->value) || outside) {
    gate->verdict = Verdict::kFail;
  } else {
    gate->verdict = Verdict::kInconclusive;
    double factor = 1;
    const auto side = [&](std::optional<double> limit, double end) {
      if (!limit) return;
      const double distance = std::abs(gate->value - *limit), reach = std::abs(end - gate->value);
      const bool straddles = std::min(range.low, range.high) <= *limit && *limit <= range.high;
      if (straddles)
        factor = distance == 0 ? 0 : std::max(factor, reach * reach / (distance * distance));
    };
    side(gate->min, gate->value < gate->min.value_or(0) ? range.high : range.low);
    side(gate->max, gate->value > gate->max.value_or(0) ? range.low : range.high);
    constexpr double kMost = 1e9;
    const double needed = std::ceil(factor * static_cast<double>(positions));
    if (factor > 0 && needed < kMost) gate->positions_needed = static_cast<int64_t>(needed);
  }
}

}  // namespace merope

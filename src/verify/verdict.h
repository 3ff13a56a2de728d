// The verdicts of a check, and the result of a gate. Plain values. Used by the suite, the terminal
// tables and `merope report`, on any thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace merope {

// In order from best to worst: the larger of two verdicts is the worse one.
enum class Verdict : uint8_t { kPass, kInconclusive, kFail };
std::string_view VerdictName(Verdict verdict);  // "PASS", "INCONCLUSIVE", "FAIL"
inline Verdict Worse(Verdict a, Verdict b) { return std::max(a, b); }

struct Interval {
  double low = 0, high = 0;
};

// One gate: the figure, its limits and the verdict. Without an interval, Judge judges the value
// itself.
struct GateResult {
  std::string key{};    // "kl_mean", for JSON
  std::string label{};  // "KL divergence, mean", for people
  double value = 0;
  std::optional<Interval> interval{};
  double confidence = 0;  // of the interval: 0.95
  // The figure must lie in [min, max]. If min or max is absent, this side has no limit. strict: a
  // value equal to the limit does not pass ("< 1 %").
  std::optional<double> min{}, max{};
  bool strict = false;
  Verdict verdict = Verdict::kPass;
  // Only for INCONCLUSIVE: the approximate number of positions that gives another verdict; 0:
  // unknown.
  int64_t positions_needed = 0;
  std::string note{};  // additional text for people; may be empty
};

// Sets the verdict. PASS: the whole interval lies inside the limits. FAIL: the whole interval lies
// outside the limits, or the value is not finite. INCONCLUSIVE: a limit lies inside the interval;
// for this verdict Judge also sets positions_needed, because the half-width of the interval shrinks
// as 1/sqrt(positions). positions: the number of positions of the estimate.
void Judge(GateResult* gate, int64_t positions);

}  // namespace merope

// What a check can conclude, and the form every gate's outcome takes. Plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace merope {

// From best to worst: of two verdicts the larger one counts.
enum class Verdict : uint8_t { kPass, kInconclusive, kFail };
std::string_view VerdictName(Verdict verdict);  // "PASS", "INCONCLUSIVE", "FAIL"
inline Verdict Worse(Verdict a, Verdict b) { return std::max(a, b); }

struct Interval {
  double low = 0, high = 0;
};

// One gate: a figure, the limit it is held to, and what follows. Without an interval the figure
// itself is judged.
struct GateResult {
  std::string key{};    // "kl_mean", for JSON
  std::string label{};  // "KL divergence, mean", for people
  double value = 0;
  std::optional<Interval> interval{};
  double confidence = 0;  // of the interval: 0.95
  // The figure must lie in [min, max]; an absent side is open. strict: the limit itself does not
  // pass ("< 1 %").
  std::optional<double> min{}, max{};
  bool strict = false;
  Verdict verdict = Verdict::kPass;
  int64_t positions_needed =
      0;               // INCONCLUSIVE: about so many positions would settle it (0: unknown)
  std::string note{};  // where there is more to say
};

// Sets the verdict: PASS where the whole interval lies inside the limits, FAIL where the whole of
// it lies outside, INCONCLUSIVE where it straddles one; then positions_needed, from the interval's
// half-width shrinking as 1/sqrt(positions).
void Judge(GateResult* gate, int64_t positions);

}  // namespace merope

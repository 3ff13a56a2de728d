// What each figure and each gate is, written once: tables, JSON, Markdown, HTML and the tables of
// docs/verification.md come from here. Constant.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "verify/digits.h"
#include "verify/metrics.h"
#include "verify/result.h"

namespace merope {

inline constexpr double kConfidence = 0.95;
inline constexpr double kEquivalenceConfidence = 0.9;  // two one-sided tests at 5 %

struct FigureKind {
  std::string_view key, english, chinese;
  std::string_view definition;
  std::string_view number = {};  // in the metric list that the suite was designed from
  Unit unit = Unit::kNumber;
  bool low_is_bad = false;
  // How it is had. (a): of each prompt, and the mean over the prompts.
  double FirstTokenRow::* prompt = nullptr;
  double FirstTokenTable::* mean = nullptr;
  // (b): at each position (nullopt where it has none there) …
  std::optional<double> (*position)(const RowMetrics&) = nullptr;
  // … or of all positions together.
  double PositionSuite::* suite = nullptr;
  Interval PositionSuite::* interval = nullptr;
  double confidence = kConfidence;  // of that interval
  std::array<double, 5> PositionSuite::* percentiles = nullptr;
};

struct GateKind {
  std::string_view key;
  std::string_view figure;  // what it judges
  std::string_view english, chinese;
  Unit unit = Unit::kNumber;
  std::optional<double> min{}, max{};   // absent in both: the limit follows from the run
  std::optional<double> max_at_many{};  // max from kManyPositions on; min mirrors it
  bool strict = false;
  double confidence = 0;          // of the interval that is judged; 0: the figure itself is
  std::string_view limit = {};    // what the numbers do not say of the limit
  std::string_view instead = {};  // the gate that this one may stand in for
  std::string_view why = {};
};
inline constexpr int64_t kManyPositions = 10000;

// In the order of the tables.
std::span<const FigureKind> FigureKinds();
std::span<const GateKind> FirstTokenGateKinds();  // (a); each named as its figure
std::span<const GateKind> PositionGateKinds();    // (b)

const FigureKind& FindFigure(std::string_view key);  // of FigureKinds
const GateKind& FindFirstTokenGate(std::string_view key);
const GateKind& FindPositionGate(std::string_view key);

// A gate of a kind, with its limits; not judged yet.
GateResult NewGate(const GateKind& kind, double value, std::optional<Interval> interval = {});

}  // namespace merope

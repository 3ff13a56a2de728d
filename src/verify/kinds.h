// Describes each figure and each gate, in one place. Terminal tables, JSON, Markdown, HTML and the
// tables of docs/verification.md use these descriptions. The data is constant: any thread may read
// it.
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
  // The following members tell where the value of the figure is stored or how it is computed;
  // nullptr: the figure has no such value. Part (a): the value of each prompt, and the mean over
  // the prompts.
  double FirstTokenRow::* prompt = nullptr;
  double FirstTokenTable::* mean = nullptr;
  // Part (b), for a figure of each position. Returns nullopt if the position has no value.
  std::optional<double> (*position)(const RowMetrics&) = nullptr;
  // Part (b), for a figure of all positions together.
  double PositionSuite::* suite = nullptr;
  Interval PositionSuite::* interval = nullptr;
  double confidence = kConfidence;  // of `interval`
  std::array<double, 5> PositionSuite::* percentiles = nullptr;
  // Whether the figure needs the prompt's next tokens. A server that gives no logprobs of the
  // prompt leaves such a figure without a value.
  bool of_next = false;
  bool of_generated = false;  // whether the figure needs the target's own greedy texts

  bool HasValue(const PositionSuite& s) const {
    return (!of_next || s.next_positions > 0) && (!of_generated || s.generated_texts > 0);
  }
};

struct GateKind {
  std::string_view key;
  std::string_view figure;  // key of the figure that the gate judges
  std::string_view english, chinese;
  Unit unit = Unit::kNumber;
  std::optional<double> min{}, max{};   // both absent: the run determines the limit
  std::optional<double> max_at_many{};  // max from kManyPositions on; min is then −max_at_many
  bool strict = false;                  // a value equal to the limit does not pass
  double confidence = 0;                // of the judged interval; 0: the figure itself is judged
  std::string_view limit = {};          // text: the part of the limit that min and max do not say
  std::string_view instead = {};        // key of the gate that this gate may replace
  std::string_view why = {};            // text: the reason for the limit
};
inline constexpr int64_t kManyPositions = 10000;

// The kinds, in the order of the tables.
std::span<const FigureKind> FigureKinds();
std::span<const GateKind> FirstTokenGateKinds();  // part (a); each gate has the key of its figure
std::span<const GateKind> PositionGateKinds();    // part (b)

// These functions return the kind of this key. An unknown key is a programming error (CHECK).
const FigureKind& FindFigure(std::string_view key);
const GateKind& FindFirstTokenGate(std::string_view key);
const GateKind& FindPositionGate(std::string_view key);

// Returns a gate of this kind, with the kind's limits, before judgement: its verdict is not set.
GateResult NewGate(const GateKind& kind, double value, std::optional<Interval> interval = {});

}  // namespace merope

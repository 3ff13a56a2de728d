// From the metrics of single positions to the suite's figures and gates. Pure: no model is run
// here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "verify/metrics.h"
#include "verify/result.h"

namespace merope {

struct PositionRecord {
  int32_t prompt = 0;    // index into the suite's prompts
  int32_t position = 0;  // logits after this token
  RowMetrics target;     // against the baseline
  // Whether all logits were numbers; a row that has others is compared as one of equal logits.
  bool finite = true;
};

// The same position, with the reference back end's rows. Kept for the first prompts only: the i-th
// goes with the i-th record.
struct ReferenceRecord {
  int32_t prompt = 0;
  RowMetrics reference;  // the checked fp32 rows against the double-sum ones
  RowMetrics emulated;   // the target's format (bf16, of fp32), emulated, against the baseline
  RowMetrics rounding;   // emulated bf16 against the baseline
  RowMetrics target;     // the target against the baseline
};

// What the target's format (bf16, of fp32) does to this model's logits, from the emulated rows.
struct Bf16Noise {
  double relative_l2 = 0;  // RMS of the relative error of centred logits
  // Quantiles of that error over positions, at equal steps: some positions magnify rounding, most
  // do not.
  std::array<double, 32> relative_l2_quantiles = {};
  // σ_b of one logit at a position: that share of the spread of its baseline logits.
  double Sigma(const RowMetrics& m) const { return relative_l2 * m.baseline_sigma; }
  // Below this gap noise explains a flip: three σ of either logit.
  double Allowed(const RowMetrics& m) const { return 2 * 3 * Sigma(m); }
  // The chance that noise exchanges the two largest, averaged over those quantiles.
  double FlipChance(const RowMetrics& m) const;
};
Bf16Noise MeasureNoise(std::span<const ReferenceRecord> records);

// A position that the noise model does not explain: a flip beyond Bf16Noise::Allowed, or an
// outlier. Whether bf16 as such is to blame is seen by emulating it there.
struct Suspect {
  size_t record = 0;                   // index into the records
  std::optional<RowMetrics> emulated;  // nullopt: not examined
};
// Suspects among the records; those that have a reference record are examined by it.
std::vector<Suspect> FindSuspects(std::span<const PositionRecord> records,
                                  std::span<const ReferenceRecord> references);

// Averages and gates of the report's table; rows are filled already.
void JudgeFirstToken(FirstTokenTable* table);

// longest_sum: terms of the longest inner product (the largest of hidden, intermediate and
// context), from which the error bound of fp32 follows.
ReferenceCheck JudgeReference(std::span<const ReferenceRecord> records, int64_t longest_sum);

// Whether the target's format has fewer than 16 bits. What such a format costs is its own affair,
// told by the figures and judged by the first-token table: gates 1 and 9, which are made for 16
// bits, then ask whether it is run as it is defined, by the emulated rows.
bool IsNarrow(Precision precision);

// Gate 9, judged: gate has the estimate and its interval, from so many positions. The absolute
// limit (which halves at 10,000 positions, and the positions needed know it), or the one that
// follows from the format's noise of a token's ln p, if that says more.
GateResult EquivalenceGate(GateResult gate, double noise, int64_t positions, bool narrow);

// Fills the suite's gates and verdict from its figures.
void JudgeGates(std::span<const ReferenceRecord> references, const ReferenceCheck& check,
                bool narrow, PositionSuite* out);

// token_text names a token in flips.
PositionSuite JudgePositions(std::span<const PositionRecord> records,
                             std::span<const ReferenceRecord> references,
                             std::span<const Suspect> suspects,
                             std::span<const VerifyPrompt> prompts, const ReferenceCheck& check,
                             bool narrow, const std::function<std::string(int32_t)>& token_text);

}  // namespace merope

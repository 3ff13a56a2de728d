// Computes the suite's figures and gates from the metrics of single positions. The suite calls
// these functions on its thread. They are pure functions and do not run a model.
//
// The reference report: the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/config.h"
#include "verify/metrics.h"
#include "verify/result.h"

namespace merope {

struct PositionRecord {
  int32_t prompt = 0;    // index into the suite's prompts
  int32_t position = 0;  // index of the token in the prompt; the logits are those after this token
  RowMetrics target;     // the target's row against the baseline's row
  // Whether all logits of the compared rows are finite. A row with NaN or infinity is compared as a
  // row of equal logits.
  bool finite = true;
};

// Metrics of a position that has rows of the reference back end. Only the first prompts have such
// rows. The i-th ReferenceRecord belongs to the i-th PositionRecord.
struct ReferenceRecord {
  int32_t prompt = 0;
  RowMetrics reference;  // the checked fp32 row against the double-precision reference row
  RowMetrics emulated;   // the emulated target format against the baseline; fp32 target: bf16
  RowMetrics rounding;   // the emulated bf16 row against the baseline
  RowMetrics target;     // the target's row against the baseline
};

// The error that the target's format causes in this model's logits, measured on the emulated rows.
// For an fp32 target, the format is bf16.
struct Bf16Noise {
  double relative_l2 = 0;  // RMS over positions of the relative L2 error of centred logits
  // Quantiles of the relative L2 error over positions, at equal steps. One number is not enough:
  // some positions magnify rounding, most positions do not.
  std::array<double, 32> relative_l2_quantiles = {};
  // The error of the difference of the two largest logits, over that of two average logits (RMS
  // over positions). A format whose error grows with the logit has a factor above 1. At least 1: a
  // format with smaller errors there has fewer flips than the model expects, which is no fault.
  double gap_factor = 1;
  // σ_b of one logit at a position: relative_l2 times the standard deviation of the position's
  // baseline logits.
  double Sigma(const RowMetrics& m) const { return relative_l2 * m.baseline_sigma; }
  // The largest gap at which noise explains a flip: three σ_b for each of the two logits.
  double Allowed(const RowMetrics& m) const { return 2 * 3 * gap_factor * Sigma(m); }
  // The probability that noise exchanges the order of the two largest logits: the mean over
  // relative_l2_quantiles.
  double FlipChance(const RowMetrics& m) const;
};
Bf16Noise MeasureNoise(std::span<const ReferenceRecord> records);

// A position that the noise model does not explain: a flip with a gap above Bf16Noise::Allowed, or
// an outlier (a Bhattacharyya coefficient below 0.99). Emulating the format at this position shows
// whether the format itself causes the difference.
struct Suspect {
  size_t record = 0;                   // index into the records
  std::optional<RowMetrics> emulated;  // nullopt: not examined
};
// Returns the suspects among the records. A suspect that has a ReferenceRecord gets the emulated
// metrics of this ReferenceRecord; the other suspects have no emulated metrics yet.
std::vector<Suspect> FindSuspects(std::span<const PositionRecord> records,
                                  std::span<const ReferenceRecord> references);

// Whether the emulated error at a position explains the target's flip or outlier there: it permits
// a gap of 6 σ_d, and a divergence of nine times its own. The divergence grows as the square of the
// error, so both limits are three times the error.
bool ExplainsFlip(const RowMetrics& emulated, const RowMetrics& target);
bool ExplainsOutlier(const RowMetrics& emulated, const RowMetrics& target);
// Both, as far as the target's position is a flip or an outlier.
bool Explains(const RowMetrics& emulated, const RowMetrics& target);

// Fills the means, the gates and the verdict of the reference report's table. The caller must have
// filled table->rows.
void JudgeFirstToken(FirstTokenTable* table);

// The number of terms of the model's longest inner product: the largest of hidden size, the width
// of all heads, intermediate size and the longest prompt.
int64_t LongestSum(const ModelConfig& config, int64_t longest_prompt);
// The expected error of an fp32 sum of so many terms in order, over that of rounding one factor of
// each product to bf16: 2⁻¹⁶ √(K/2) (gates.cc derives it).
double Fp32OverBf16(int64_t longest_sum);

// The error bound of fp32 depends on longest_sum.
ReferenceCheck JudgeReference(std::span<const ReferenceRecord> records, int64_t longest_sum);

// Whether the target's format has fewer than 16 bits. The limits of gates 1 and 9 are made for 16
// bits. For a narrow format, JudgeGates omits gate 1 (kl_mean), and gate 9 compares the target with
// the emulated rows: the gates then test whether the back end computes the format as it is defined.
// The figures show the cost of the format itself, and the first-token table judges this cost.
bool IsNarrow(Precision precision);

// Returns gate 9 with its verdict. gate: the estimate and its interval. positions: the number of
// positions of the estimate. noise: the RMS of the format's error of a token's ln p. The function
// judges two limits and returns the absolute one, unless the relative one has a better verdict or
// the same verdict with fewer positions needed. The absolute limit halves from 10,000 positions on;
// positions_needed takes the halved limit into account. The relative limit is a fifth of noise, and
// at most the limit of gate 1 unless narrow.
GateResult EquivalenceGate(GateResult gate, double noise, int64_t positions, bool narrow);

// Fills the suite's gates and its verdict, from the suite's figures and from the references.
void JudgeGates(std::span<const ReferenceRecord> references, const ReferenceCheck& check,
                bool narrow, PositionSuite* out);

// Computes all figures of (b), the flips, the outliers, the gates and the verdict. token_text
// returns the text of a token id, for the list of flips.
PositionSuite JudgePositions(std::span<const PositionRecord> records,
                             std::span<const ReferenceRecord> references,
                             std::span<const Suspect> suspects,
                             std::span<const VerifyPrompt> prompts, const ReferenceCheck& check,
                             bool narrow, const std::function<std::string(int32_t)>& token_text);

}  // namespace merope

// What the kernels are measured against. Called by bench/, on any thread.
#pragma once

#include <cstdint>

namespace merope::cpu {

// Multiply-adds on registers alone, by the instruction that the matrix products use: what a core
// can do at most. There are rows × 4 accumulators; (r, c) adds x[r] · w[c] in each of its elements,
// `steps` times over. x is not negative: in int8 it is the unsigned factor.
inline constexpr int kPeakRows = 4, kPeakColumns = 4;
struct PeakArgs {
  int64_t steps;
  int8_t x[kPeakRows], w[kPeakColumns];
  double sums[kPeakRows][kPeakColumns];  // out: each accumulator's elements together
};
struct PeakKernels {
  int rows;  // accumulators are rows × kPeakColumns
  // Return how many operations they did, two a multiply-add.
  int64_t (*fp32)(PeakArgs&);
  int64_t (*bf16)(PeakArgs&);
  int64_t (*int8)(PeakArgs&);
};
const PeakKernels& GetPeakKernels();

}  // namespace merope::cpu

// The peak speed of a core, against which the kernels are measured. Called by bench/, on any
// thread.
#pragma once

#include <cstdint>

namespace merope::cpu {

// Multiply-adds on registers only, with the instruction that the matrix products use. This is the
// highest speed that a core can reach. There are rows × 4 accumulators. Accumulator (r, c) adds
// x[r] · w[c] to each of its elements, `steps` times. x must not be negative: in int8, x is the
// unsigned factor.
inline constexpr int kPeakRows = 4, kPeakColumns = 4;
struct PeakArgs {
  int64_t steps;
  int8_t x[kPeakRows], w[kPeakColumns];
  double sums[kPeakRows][kPeakColumns];  // out: the sum of each accumulator's elements
};
struct PeakKernels {
  int rows;  // the number of accumulators is rows × kPeakColumns
  // Each function returns the number of its operations: two per multiply-add.
  int64_t (*fp32)(PeakArgs&);
  int64_t (*bf16)(PeakArgs&);
  int64_t (*int8)(PeakArgs&);
};
const PeakKernels& GetPeakKernels();

}  // namespace merope::cpu

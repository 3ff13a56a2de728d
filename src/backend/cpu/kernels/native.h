// Products of native weights: the weights are the integers of a GGUF file; the activations have 8
// bits. Called by the ops of the CPU back end, on the threads of its team.
//
// Native form of a panel: one linear stream of blocks of 32 k. A block consists of
//   - the minimums, if the type has minimums: one per column, in fp16 or (super) a byte;
//   - the integers, in steps of four k, in one or two runs. 8 bits: one run, [step][panel][4]. 4
//     bits: one run; the bytes of one step hold two steps, the first step in the low halves. 6
//     bits: two runs of 16 k. A 6-bit run has two such pairs of steps with the low four bits, then
//     the upper two bits of all four steps, at bits 4, 6, 0 and 2 of a byte. The scales follow each
//     run: one per column, in fp16 or (super) a byte.
// In a super form, fp16 numbers stand before the first of every eight blocks, one per column. The
// bytes of the scales are multiplied with these numbers. If the type has minimums, fp16 numbers for
// the bytes of the minimums follow.
//
// A row of x, in 32-bit units: k/4 units of four signed bytes; the sum of each 16 bytes; for each
// block the scale of its bytes; then for each block its scale times the sum of its bytes.
//
// An output is summed block by block, in order: first the block's minimum times the block's scaled
// sum of x, then run by run the exact sum of products, scaled. Nothing in this sum depends on the
// tile, the row count or the thread.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/kernels.h"

namespace merope::cpu {

inline constexpr int64_t kNativeBlock = 32, kNativeSuper = 8;  // k per block; blocks per super

struct NativeForm {
  uint8_t bits = 8;    // 4, 6 (always super, without minimums) or 8
  uint8_t offset = 0;  // subtracted from each integer
  bool super = false, minimum = false;
};

// Units of a row of x. in_features is a multiple of kNativeBlock.
inline int64_t NativeUnits(int64_t in_features) {
  return in_features / 4 + in_features / 16 + 2 * (in_features / kNativeBlock);
}

struct NativeKernels {
  // args: as for integers (kernels.h).
  void (*product)(const MatMulArgs& args, const NativeForm& form);
  // Converts a row of n values to the form of x above. In each block, an integer is the nearest to
  // x · (127 / the block's largest magnitude), ties to even.
  void (*quantize)(const float* x, int64_t n, uint32_t* out);
};
const NativeKernels& GetNativeKernels();

}  // namespace merope::cpu

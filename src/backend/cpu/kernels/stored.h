// Products of a GGUF's own integers: weights as the file quantized them, activations of 8 bits.
//
// Stored form of a panel: one linear stream over blocks of 32 k. A block is
//   - where the type has minimums: one a column, fp16, or (super) a byte;
//   - its integers, in steps of four k: of 8 bits, [step][panel][4]; of 4 bits, two steps in the
//     halves of the bytes of one; of 6 bits, in two halves of 16 k: two such pairs of steps of low
//     halves, then the upper two bits of all four steps, at bits 4, 6, 0 and 2 of a byte; each run
//     of integers with its scale a column behind it, fp16, or (super) a byte.
// Before every eighth block of a super form: the fp16 numbers, one a column, that the bytes of
// scales and (if it has minimums) of minimums are multiplied with.
//
// A row of x, in 32-bit units: k/4 of four signed bytes; the sums of each 16 of them; for each
// block the scale of its bytes, then that times the block's sum.
//
// An output is summed block by block, in order: the block's minimum times its sum of x, then the
// exact sums of products, scaled. Nothing about it depends on the tile, the row count or the
// thread.
#pragma once

#include <cstdint>

#include "backend/cpu/kernels/kernels.h"

namespace merope::cpu {

inline constexpr int64_t kStoredBlock = 32, kStoredSuper = 8;  // k; blocks

struct StoredForm {
  uint8_t bits = 8;    // 4, 6 (always super, without minimums) or 8
  uint8_t offset = 0;  // in the integers
  bool super = false, minimum = false;
};

// Units of a row of x, of in_features a multiple of kStoredBlock.
inline int64_t StoredUnits(int64_t in_features) {
  return in_features / 4 + in_features / 16 + 2 * (in_features / kStoredBlock);
}

struct StoredKernels {
  // args as for integers (kernels.h).
  void (*product)(const MatMulArgs& args, const StoredForm& form);
  // A row of n values to what the products take. Within a block nearest, ties to even, of x · (127
  // / the block's largest magnitude).
  void (*quantize)(const float* x, int64_t n, uint32_t* out);
};
const StoredKernels& GetStoredKernels();

}  // namespace merope::cpu

// ggml's quantized blocks taken apart: the integers that a file stores, and the numbers that they
// are scaled by, nothing rounded.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace merope {

inline constexpr int64_t kBlockRun = 32;

// How a type's integers are meant: value = scale · (q − offset) + minimum.
struct BlockType {
  uint8_t bits = 8;    // that its integers need: 4, 6 or 8
  uint8_t offset = 0;  // subtracted from each
  bool super = false;  // scales have a factor a run, on top of one number for 256 weights
  bool minimum = false;
};
BlockType BlockTypeOf(DType dtype);  // of a quantized type

// 32 consecutive weights of a row. Weight i is half(scale) · factors[i / 16] · (q[i] − offset) +
// half(minimum) · minimum_factor; factors are 1 where the type has none.
struct BlockRun {
  uint8_t q[kBlockRun];
  uint16_t scale = 0, minimum = 0;
  int8_t factors[2] = {1, 1};
  int8_t minimum_factor = 1;
};
// Run `index` of a row's stored bytes.
BlockRun ReadBlockRun(DType dtype, const std::byte* row, int64_t index);

}  // namespace merope

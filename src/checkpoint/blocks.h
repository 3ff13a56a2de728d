// Splits ggml's quantized blocks into the integers and the scales that the file stores, without
// rounding. Pure functions. backend/cpu/native.cc calls them on the threads that pack the weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace merope {

inline constexpr int64_t kBlockRun = 32;

// The meaning of a type's integers: value = scale · (q − offset) + minimum.
struct BlockType {
  uint8_t bits = 8;    // bits that hold one integer: 4, 6 or 8
  uint8_t offset = 0;  // subtracted from each integer
  bool super = false;  // each run has factors, besides one scale per 256 weights
  bool minimum = false;
};
BlockType BlockTypeOf(DType dtype);  // dtype: a quantized type

// 32 consecutive weights of a row. Weight i is half(scale) · factors[i / 16] · (q[i] − offset) +
// half(minimum) · minimum_factor. The factors are 1 if the type has none.
struct BlockRun {
  uint8_t q[kBlockRun];
  uint16_t scale = 0, minimum = 0;
  int8_t factors[2] = {1, 1};
  int8_t minimum_factor = 1;
};
// Reads run `index` of a row. row: the stored bytes of the row.
BlockRun ReadBlockRun(DType dtype, const std::byte* row, int64_t index);

}  // namespace merope

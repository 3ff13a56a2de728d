// The blocks of integers that `merope quantize` writes: one bf16 scale, then one code per weight.
// INT8 has 64 codes of a byte. INT4 has 32 codes of half a byte; the even codes are the low halves.
// A weight is the value of its code times the scale. If the columns of a row are not whole blocks,
// the last block of the row is padded. Pure functions: any thread may call them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace merope {

// An INT8 code is its value plus 128.
inline constexpr int32_t kIntegerOffset = 128;
// The values of the 16 codes of INT4. Weights are nearly normally distributed. For normally
// distributed weights, and a scale chosen per group, these values give the least squared error
// (Lloyd's algorithm on groups of 32 normal numbers). The error is a fifth less than with the
// values −8 … 7.
inline constexpr std::array<int8_t, 16> kInt4Values = {-127, -101, -79, -62, -48, -34, -21, -9,
                                                       2,    14,   25,  37,  50,  65,  83,  107};

inline int32_t IntegerValue(DType dtype, uint8_t code) {
  return dtype == DType::kInt4 ? kInt4Values[code] : code - kIntegerOffset;
}

// codes: BlockElements(dtype) codes. scale: the bits of a bf16 number.
void WriteIntegerBlock(DType dtype, uint16_t scale, const uint8_t* codes, std::byte* block);
uint16_t ReadIntegerBlock(DType dtype, const std::byte* block, uint8_t* codes);

}  // namespace merope

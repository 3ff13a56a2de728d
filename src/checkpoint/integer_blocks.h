// Blocks of integers as `merope quantize` writes them: one bf16 scale, then a code a weight (INT8:
// 64 of a byte; INT4: 32 of half a byte, the even ones low). A weight is its code's value times the
// scale. A row's last block is filled up where its columns are no whole blocks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/dtype.h"

namespace merope {

// Of INT8, a code is its value plus 128.
inline constexpr int32_t kIntegerOffset = 128;
// The values of the 16 codes of INT4. Weights are nearly normal: these give them the least squared
// error where a group's scale is chosen for it (Lloyd's algorithm on groups of 32 normal numbers),
// a fifth less than that of −8 … 7.
inline constexpr std::array<int8_t, 16> kInt4Values = {-127, -101, -79, -62, -48, -34, -21, -9,
                                                       2,    14,   25,  37,  50,  65,  83,  107};

inline int32_t IntegerValue(DType dtype, uint8_t code) {
  return dtype == DType::kInt4 ? kInt4Values[code] : code - kIntegerOffset;
}

// codes: BlockElements of them. scale: the bits of a bf16 number.
void WriteIntegerBlock(DType dtype, uint16_t scale, const uint8_t* codes, std::byte* block);
uint16_t ReadIntegerBlock(DType dtype, const std::byte* block, uint8_t* codes);

}  // namespace merope

#include "checkpoint/integer_blocks.h"

#include <cstring>

namespace merope {

void WriteIntegerBlock(DType dtype, uint16_t scale, const uint8_t* codes, std::byte* block) {
  std::memcpy(block, &scale, 2);
  if (dtype == DType::kInt8) {
    std::memcpy(block + 2, codes, static_cast<size_t>(BlockElements(dtype)));
    return;
  }
  for (int i = 0; i < BlockElements(dtype); i += 2)
    block[2 + i / 2] = static_cast<std::byte>(codes[i] | codes[i + 1] << 4);
}

uint16_t ReadIntegerBlock(DType dtype, const std::byte* block, uint8_t* codes) {
  uint16_t scale;
  std::memcpy(&scale, block, 2);
  if (dtype == DType::kInt8) {
    std::memcpy(codes, block + 2, static_cast<size_t>(BlockElements(dtype)));
    return scale;
  }
  for (int i = 0; i < BlockElements(dtype); i += 2) {
    const auto both = std::to_integer<uint8_t>(block[2 + i / 2]);
    codes[i] = both & 15;
    codes[i + 1] = both >> 4;
  }
  return scale;
}

}  // namespace merope

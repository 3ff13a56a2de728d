// Blocks of ggml's quantized types for tests. Random ones use every bit of a block; Quantize makes
// simple, honest ones of values.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace merope {

inline constexpr DType kQuantizedTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                                            DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

// ggml's number of a type.
inline uint32_t GgmlType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ5_0:
      return 6;
    case DType::kQ5_1:
      return 7;
    case DType::kQ8_0:
      return 8;
    case DType::kQ4_K:
      return 12;
    case DType::kQ5_K:
      return 13;
    case DType::kQ6_K:
      return 14;
    case DType::kBF16:
      return 30;
  }
  return 0;
}

// Where a block has its fp16 numbers.
inline std::vector<size_t> HalvesOf(DType dtype) {
  switch (dtype) {
    case DType::kQ6_K:
      return {208};
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ5_0:
      return {0};
    default:
      return {0, 2};
  }
}

// Blocks of n weights whose integers and factors are any bits, and whose fp16 numbers lie in
// (−1/8, 1/8) (minimums of Q4_K and Q5_K, which are subtracted, too).
inline std::string RandomBlocks(DType dtype, int64_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(static_cast<size_t>(RowBytes(dtype, n)), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  std::uniform_real_distribution<float> uniform(-0.125f, 0.125f);
  for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(BlockBytes(dtype)))
    for (const size_t at : HalvesOf(dtype)) {
      const uint16_t half = F32ToF16(uniform(random));
      std::memcpy(bytes.data() + block + at, &half, 2);
    }
  return bytes;
}

}  // namespace merope

// Makes random blocks of ggml's quantized types. Every bit of their integers and factors is random.
#pragma once

#include <cstring>
#include <random>
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
    case DType::kInt8:
    case DType::kInt4:
      break;  // ggml does not have merope's integer types
  }
  return 0;
}

// The offsets, in bytes, of the fp16 numbers of a block.
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

inline void SetHalf(std::string* bytes, size_t at, float value) {
  const uint16_t half = F32ToF16(value);
  std::memcpy(bytes->data() + at, &half, sizeof(half));
}

// Blocks of n weights. The integers and factors are random bits. The fp16 numbers lie in
// (−1/8, 1/8).
inline std::string RandomBlocks(DType dtype, int64_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(static_cast<size_t>(RowBytes(dtype, n)), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  std::uniform_real_distribution<float> uniform(-0.125f, 0.125f);
  for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(BlockBytes(dtype)))
    for (const size_t at : HalvesOf(dtype)) SetHalf(&bytes, block + at, uniform(random));
  return bytes;
}

// The same, but the fp16 numbers give the weights about the standard deviation std_dev and the mean
// zero.
inline std::string RandomWeights(DType dtype, int64_t n, uint64_t seed, float std_dev) {
  std::string bytes = RandomBlocks(dtype, n, seed);
  const bool k = BlockElements(dtype) == 256, q6 = dtype == DType::kQ6_K;
  const bool five = dtype == DType::kQ5_0 || dtype == DType::kQ5_1 || dtype == DType::kQ5_K;
  const float most = q6 ? 63 : dtype == DType::kQ8_0 ? 255 : five ? 31 : 15;  // range of an integer
  // The standard deviation of a uniform integer is most / √12. 74 and 56 account for the random
  // factors of the K types: 8 bits with a sign in Q6_K; 6 bits in Q4_K and Q5_K, together with the
  // minimums.
  const float scale = std_dev / (most / 3.46f * (q6 ? 74.0f : k ? 56.0f : 1.0f));
  for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(BlockBytes(dtype))) {
    const auto halves = HalvesOf(dtype);
    SetHalf(&bytes, block + halves[0], scale);
    if (halves.size() > 1) SetHalf(&bytes, block + halves[1], (k ? 0.5f : -0.5f) * most * scale);
  }
  return bytes;
}

}  // namespace merope

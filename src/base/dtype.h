// The element types of tensors in files and in memory, and the scalar conversions between 16-bit
// floats and fp32. Pure functions, safe on any thread.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace merope {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kInt8,  // kInt8 and kInt4: merope's own integer blocks (checkpoint/integer_blocks.h)
  kInt4
};

// The names are "F32", "BF16", "Q4_1", …, as safetensors and GGUF spell them. "INT8" and "INT4" are
// merope's own names.
std::string_view DTypeName(DType dtype);
std::optional<DType> DTypeFromName(std::string_view name);

// A tensor is stored in blocks. BlockElements is the number of elements per block (1 for F32, F16
// and BF16). BlockBytes is the number of bytes per block. The quantized types use ggml's block
// layouts.
int BlockElements(DType dtype);
int BlockBytes(DType dtype);
inline bool IsQuantized(DType dtype) { return dtype >= DType::kQ8_0 && dtype <= DType::kQ6_K; }
// Whether dtype is one of merope's own integer types.
inline bool IsOwnInteger(DType dtype) { return dtype == DType::kInt8 || dtype == DType::kInt4; }

// The number of bytes of a row of n elements. A row consists of whole blocks.
inline int64_t RowBytes(DType dtype, int64_t n) {
  return (n + BlockElements(dtype) - 1) / BlockElements(dtype) * BlockBytes(dtype);
}

// A bfloat16 is the upper half of an fp32 (sign, 8 exponent bits, 7 mantissa bits).
inline float BF16ToF32(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// Rounds to nearest, ties to even. A NaN becomes a quiet NaN. Denormals are kept.
inline uint16_t F32ToBF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x0040u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

inline float RoundToBF16(float value) { return BF16ToF32(F32ToBF16(value)); }

// Converts an IEEE half to fp32. The conversion is exact, denormals included. The code has no
// branch, so that the compiler vectorizes loops over this function: a shift moves the bits into
// place, and an exact multiplication corrects the exponent's bias.
inline float F16ToF32(uint16_t bits) {
  const uint32_t magnitude = uint32_t{bits & 0x7fffu} << 13;
  const float finite = std::bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t value =
      magnitude >= 0x0f800000u ? magnitude | 0x7f800000u : std::bit_cast<uint32_t>(finite);
  return std::bit_cast<float>(value | uint32_t{bits & 0x8000u} << 16);
}
// Rounds to nearest, ties to even. An overflow gives infinity.
uint16_t F32ToF16(float value);

}  // namespace merope

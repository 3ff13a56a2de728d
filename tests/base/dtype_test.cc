#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace merope {
namespace {

// The value of 16 bits in IEEE half precision, by the definition of the format.
double HalfValue(uint16_t bits) {
  const double sign = bits & 0x8000 ? -1 : 1;
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(DType, NamesAndBlocks) {
  for (int i = 0; i <= static_cast<int>(DType::kQ6_K); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(DTypeFromName(DTypeName(dtype)), dtype);
    EXPECT_EQ(RowBytes(dtype, 512), 512 / BlockElements(dtype) * BlockBytes(dtype));
  }
  EXPECT_EQ(DTypeFromName("Q2_K"), std::nullopt);
}

// A block has a scale of 2 bytes, and in some types a minimum of 2 bytes. Q4_K and Q5_K also have a
// scale and a minimum of 6 bits for each 32 elements. Q6_K has a scale of 8 bits for each 16
// elements. The other bytes of a block are the bits of the elements.
TEST(DType, SizesOfBlocks) {
  struct Case {
    DType dtype;
    std::string_view name;
    int elements, bytes;
  };
  for (const auto& [dtype, name, elements, bytes] : std::initializer_list<Case>{
           {DType::kF32, "F32", 1, 4},
           {DType::kF16, "F16", 1, 2},
           {DType::kBF16, "BF16", 1, 2},
           {DType::kQ8_0, "Q8_0", 32, 2 + 32},
           {DType::kQ4_0, "Q4_0", 32, 2 + 32 * 4 / 8},
           {DType::kQ4_1, "Q4_1", 32, 4 + 32 * 4 / 8},
           {DType::kQ5_0, "Q5_0", 32, 2 + 32 * 5 / 8},
           {DType::kQ5_1, "Q5_1", 32, 4 + 32 * 5 / 8},
           {DType::kQ4_K, "Q4_K", 256, 4 + 12 + 256 * 4 / 8},
           {DType::kQ5_K, "Q5_K", 256, 4 + 12 + 256 * 5 / 8},
           {DType::kQ6_K, "Q6_K", 256, 2 + 16 + 256 * 6 / 8},
           {DType::kInt8, "INT8", 64, 2 + 64},
           {DType::kInt4, "INT4", 32, 2 + 32 * 4 / 8},
       }) {
    EXPECT_EQ(DTypeName(dtype), name);
    EXPECT_EQ(DTypeFromName(name), dtype);
    EXPECT_EQ(BlockElements(dtype), elements) << name;
    EXPECT_EQ(BlockBytes(dtype), bytes) << name;
    EXPECT_EQ(RowBytes(dtype, 0), 0) << name;
    EXPECT_EQ(RowBytes(dtype, 1), bytes) << name;
    EXPECT_EQ(RowBytes(dtype, elements), bytes) << name;
    EXPECT_EQ(RowBytes(dtype, elements + 1), 2 * bytes) << name;
    EXPECT_EQ(IsOwnInteger(dtype), name.starts_with("INT")) << name;
    EXPECT_EQ(IsQuantized(dtype), name.starts_with("Q")) << name;
  }
}

TEST(Half, EveryValueDecodesExactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = F16ToF32(half);
    if ((bits & 0x7c00) == 0x7c00) {
      EXPECT_EQ(std::isnan(value), (bits & 1023) != 0);
      EXPECT_EQ(std::isinf(value), (bits & 1023) == 0);
    } else {
      EXPECT_EQ(static_cast<double>(value), HalfValue(half)) << bits;
    }
    EXPECT_EQ(std::signbit(value), (bits & 0x8000) != 0);
  }
}

TEST(Half, EveryFiniteValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if ((bits & 0x7c00) == 0x7c00 && (bits & 1023) != 0) {
      EXPECT_TRUE(std::isnan(F16ToF32(F32ToF16(F16ToF32(half)))));
    } else {
      EXPECT_EQ(F32ToF16(F16ToF32(half)), half);
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const double a = HalfValue(low), b = HalfValue(high);
    const auto middle = static_cast<float>((a + b) / 2);  // exact: a half has far fewer bits
    EXPECT_EQ(F32ToF16(middle), low % 2 == 0 ? low : high);
    EXPECT_EQ(F32ToF16(std::nextafter(middle, 0.0f)), low);
    EXPECT_EQ(F32ToF16(std::nextafter(middle, 1e9f)), high);
    EXPECT_EQ(F32ToF16(-middle), (low % 2 == 0 ? low : high) | 0x8000);
  }
  EXPECT_EQ(F32ToF16(65519.99f), 0x7bff);
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(F32ToF16(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(F32ToF16(std::numeric_limits<float>::infinity()), 0x7c00);
  // The result of a NaN is a quiet NaN with the same sign.
  EXPECT_EQ(F32ToF16(std::bit_cast<float>(0x7f800001u)), 0x7e00);
  EXPECT_EQ(F32ToF16(std::bit_cast<float>(0xffc00000u)), 0xfe00);
}

TEST(BFloat16, RoundsToNearestEvenAndKeepsNaN) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto bf16 = static_cast<uint16_t>(bits);
    const float value = BF16ToF32(bf16);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(BF16ToF32(F32ToBF16(value))));
      continue;
    }
    EXPECT_EQ(F32ToBF16(value), bf16);
    if (std::isinf(value)) continue;
    const auto with_low_bits = [&](uint32_t low) {
      return F32ToBF16(std::bit_cast<float>(bits << 16 | low));
    };
    EXPECT_EQ(with_low_bits(0x7fff), bf16);
    EXPECT_EQ(with_low_bits(0x8000), bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(with_low_bits(0x8001), bits + 1);
  }
  // Of the first NaN, the upper 16 bits alone are infinity.
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
  EXPECT_EQ(F32ToBF16(std::bit_cast<float>(0xff812345u)), 0xffc1);
  EXPECT_EQ(RoundToBF16(1.00390625f), 1.0f);       // 1 + 2^-8, halfway: to the even 1
  EXPECT_EQ(RoundToBF16(1.01171875f), 1.015625f);  // 1 + 3 · 2^-8, halfway: to 1 + 2^-6
}

}  // namespace
}  // namespace merope

#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace merope {
namespace {

// What 16 bits of IEEE half mean, by the definition.
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
    const auto middle = static_cast<float>((a + b) / 2);  // exact: halves are far coarser
    EXPECT_EQ(F32ToF16(middle), low % 2 == 0 ? low : high);
    EXPECT_EQ(F32ToF16(std::nextafter(middle, 0.0f)), low);
    EXPECT_EQ(F32ToF16(std::nextafter(middle, 1e9f)), high);
    EXPECT_EQ(F32ToF16(-middle), (low % 2 == 0 ? low : high) | 0x8000);
  }
  EXPECT_EQ(F32ToF16(65519.99f), 0x7bff);
  EXPECT_EQ(F32ToF16(65520.0f), 0x7c00);
  EXPECT_EQ(F32ToF16(-std::numeric_limits<float>::infinity()), 0xfc00);
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
  // A NaN whose upper half alone would read as infinity.
  EXPECT_TRUE(std::isnan(BF16ToF32(F32ToBF16(std::bit_cast<float>(0x7f800001u)))));
}

}  // namespace
}  // namespace merope

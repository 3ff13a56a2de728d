#include "backend/integer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/dtype.h"

namespace merope {
namespace {

// Compares the bits of the magnitudes. The order of the bits is the order of the numbers, and NaN
// is above every number.
float LargestMagnitude(std::span<const float> values) {
  uint32_t largest = 0;
  for (const float value : values)
    largest = std::max(largest, std::bit_cast<uint32_t>(std::fabs(value)));
  return std::bit_cast<float>(largest);
}

// The smallest bf16 number that is at or above a positive value.
float Bf16AtLeast(float value) {
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0xffffu) & 0xffff0000u);
}

// 1 / scale; 0 for scales so small that the inverse could overflow.
float Inverse(float scale) { return std::fabs(scale) > kLeastMagnitude ? 1 / scale : 0; }

// The integer nearest to a value within ±127, ties to even. The addition rounds the value and
// leaves the integer in the low bits of the sum's mantissa.
int32_t Nearest(float value) { return std::bit_cast<int32_t>(value + 0x1.8p23f) - 0x4b400000; }

// Element i is the int4 code whose value is nearest to i − 128.
constexpr std::array<uint8_t, 256> kNearestInt4 = [] {
  std::array<uint8_t, 256> codes = {};
  for (int32_t i = 0; i < 256; ++i)
    for (uint8_t code = 1; code < 16; ++code)
      if (2 * (i - 128) > kInt4Values[code] + kInt4Values[code - 1])
        codes[static_cast<size_t>(i)] = code;
  return codes;
}();

// Writes the codes nearest to the weights at this scale. Returns the sum of the squared errors.
float CodeInt4(std::span<const float> weights, float scale, uint8_t* codes) {
  const float inverse = Inverse(scale);
  float error = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const float place = std::clamp(weights[i] * inverse, -127.0f, 127.0f);
    const int nearest = Nearest(place) + 128;
    codes[i] = kNearestInt4[static_cast<size_t>(nearest)];
    const float difference = weights[i] - static_cast<float>(kInt4Values[codes[i]]) * scale;
    error += difference * difference;
  }
  return error;
}

// The scale with the least squared error for these codes, rounded to bf16.
float ScaleOf(std::span<const float> weights, const uint8_t* codes) {
  float product = 0, square = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto value = static_cast<float>(kInt4Values[codes[i]]);
    product += weights[i] * value;
    square += value * value;
  }
  return RoundToBF16(product / square);
}

float QuantizeInt4(std::span<const float> weights, uint8_t* codes) {
  // Candidates for the value that the weight of the largest magnitude becomes, with either sign. A
  // candidate outside the codes' range clips this weight, so that the other weights lose less. The
  // last candidate is the best scale for the codes found.
  constexpr float kExtremes[] = {-133, -121, -109, 91, 102, 113};
  const auto extreme =
      *std::ranges::max_element(weights, {}, [](float weight) { return std::fabs(weight); });
  // If the squares overflow, no candidate has a finite error, and the first scale stays. The
  // weights then keep their size, so that a product that overflows in fp32 also overflows here.
  float best = RoundToBF16(extreme / kExtremes[0]);
  float least_error = std::numeric_limits<float>::infinity();
  const auto consider = [&](float scale) {
    const float error = CodeInt4(weights, scale, codes);
    if (error >= least_error) return;
    least_error = error;
    best = scale;
  };
  for (const float value : kExtremes) consider(RoundToBF16(extreme / value));
  CodeInt4(weights, best, codes);
  consider(ScaleOf(weights, codes));
  CodeInt4(weights, best, codes);
  return best;
}

}  // namespace

bool IsInteger(Precision precision) {
  return precision == Precision::kInt8 || precision == Precision::kInt4;
}

IntegerFormat FormatOf(Precision precision) {
  CHECK(IsInteger(precision));
  return precision == Precision::kInt8 ? kInt8Format : kInt4Format;
}

DType IntegerType(Precision precision) {
  CHECK(IsInteger(precision));
  return precision == Precision::kInt8 ? DType::kInt8 : DType::kInt4;
}

float QuantizeWeights(std::span<const float> weights, Precision precision, uint8_t* codes) {
  if (precision == Precision::kInt4) return QuantizeInt4(weights, codes);
  const float scale = Bf16AtLeast(LargestMagnitude(weights) / 127);
  const float inverse = Inverse(scale);
  for (size_t i = 0; i < weights.size(); ++i)
    codes[i] = static_cast<uint8_t>(Nearest(std::clamp(weights[i] * inverse, -127.0f, 127.0f)) +
                                    kIntegerOffset);
  return scale;
}

float QuantizeActivations(std::span<const float> x, int8_t* q) {
  const float largest = LargestMagnitude(x);
  if (!std::isfinite(largest)) {
    std::fill_n(q, x.size(), int8_t{0});
    return std::numeric_limits<float>::quiet_NaN();
  }
  const float inverse = largest > kLeastMagnitude ? 127 / largest : 0;
  for (size_t i = 0; i < x.size(); ++i) q[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  return largest / 127;
}

}  // namespace merope

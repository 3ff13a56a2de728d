#include "backend/integer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/dtype.h"

namespace merope {
namespace {

float LargestMagnitude(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

// The next bf16 number at or above a positive one.
float Bf16AtLeast(float value) {
  return std::bit_cast<float>((std::bit_cast<uint32_t>(value) + 0xffffu) & 0xffff0000u);
}

void Divide(std::span<const float> weights, float scale, float least, float most, int8_t* q) {
  const float inverse = scale == 0 ? 0 : 1 / scale;
  for (size_t i = 0; i < weights.size(); ++i)
    q[i] = static_cast<int8_t>(std::clamp(std::nearbyint(weights[i] * inverse), least, most));
}

float QuantizeInt4(std::span<const float> weights, int8_t* q) {
  // The side of the largest magnitude gets −8, the other 7; somewhat smaller scales cut the
  // largest off for the sake of the rest.
  constexpr float kCuts[] = {8.5f, 8.0f, 7.6f, 7.2f, 6.8f, 6.4f};
  const auto extreme =
      *std::ranges::max_element(weights, {}, [](float weight) { return std::fabs(weight); });
  float best = 0, least_error = std::numeric_limits<float>::infinity();
  for (const float cut : kCuts) {
    const float scale = RoundToBF16(-extreme / cut);
    Divide(weights, scale, -8, 7, q);
    float error = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      const float difference = weights[i] - static_cast<float>(q[i]) * scale;
      error += difference * difference;
    }
    if (error < least_error) {
      least_error = error;
      best = scale;
    }
  }
  Divide(weights, best, -8, 7, q);
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

float QuantizeWeights(std::span<const float> weights, Precision precision, int8_t* q) {
  if (precision == Precision::kInt4) return QuantizeInt4(weights, q);
  const float scale = Bf16AtLeast(LargestMagnitude(weights) / 127);
  Divide(weights, scale, -127, 127, q);
  return scale;
}

float QuantizeActivations(std::span<const float> x, int8_t* q) {
  const float largest = LargestMagnitude(x);
  const float inverse = largest > kLeastMagnitude ? 127 / largest : 0;
  for (size_t i = 0; i < x.size(); ++i) q[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  return largest / 127;
}

}  // namespace merope

// Integer weights and activations: how values become integers. The same for every back end, so that
// the reference multiplies the integers that the fast one multiplies.
#pragma once

#include <cstdint>
#include <span>

#include "backend/backend.h"

namespace merope {

// A group of `group` weights along in_features has one scale, a bf16 number; its integers are
// stored with `offset` added. Of an activation row, every value has the same scale.
struct IntegerFormat {
  int64_t group = 0;
  int32_t offset = 0;
};
inline constexpr IntegerFormat kInt8Format = {64, 128};
inline constexpr IntegerFormat kInt4Format = {32, 8};
bool IsInteger(Precision precision);  // kInt8 or kInt4
IntegerFormat FormatOf(Precision precision);

// With kStored, so many values of an activation row have one scale.
inline constexpr int64_t kStoredGroup = 32;

// weights ≈ q · scale. int8: from −127 to 127, the scale the smallest that holds the largest
// magnitude. int4: from −8 to 7, the scale that gives the least squared error of a few. q: as many
// as weights.
float QuantizeWeights(std::span<const float> weights, Precision precision, int8_t* q);

// x ≈ q · scale: q nearest to x · (127 / the largest magnitude), ties to even, all in fp32; zeros
// where no magnitude is above kLeastMagnitude, over which 127 would be no number.
inline constexpr float kLeastMagnitude = 0x1p-120f;
float QuantizeActivations(std::span<const float> x, int8_t* q);

}  // namespace merope

// Integer weights and activations: how values become integers. The same for every back end, so that
// the reference multiplies the integers that the fast one multiplies.
#pragma once

#include <cstdint>
#include <span>

#include "backend/matrix.h"
#include "checkpoint/integer_blocks.h"

namespace merope {

// A group of `group` weights along in_features has one scale, a bf16 number; a weight is a code's
// value times it. Products add kIntegerOffset to values, so that they are bytes without a sign. Of
// an activation row, x_group values have one scale (0: all of them). int8 runs turned (rotation.h),
// which lets a row do with one; what 4 bits lose is more than that, and less where weights are as
// they are (docs/quantization.md has the measurements).
struct IntegerFormat {
  int64_t group = 0, x_group = 0;
};
inline constexpr IntegerFormat kInt8Format = {64, 0};
inline constexpr IntegerFormat kInt4Format = {32, 32};
DType IntegerType(Precision precision);  // kInt8 or kInt4
bool IsInteger(Precision precision);     // kInt8 or kInt4
IntegerFormat FormatOf(Precision precision);

// With kStored, so many values of an activation row have one scale.
inline constexpr int64_t kStoredGroup = 32;

// weights ≈ value of the code · scale; codes: as many as weights. int8: values from −127 to 127,
// the scale the smallest that holds the largest magnitude. int4: the scale that gives the least
// squared error of a few.
float QuantizeWeights(std::span<const float> weights, Precision precision, uint8_t* codes);
inline int32_t IntegerValue(Precision precision, uint8_t code) {
  return IntegerValue(precision == Precision::kInt4 ? DType::kInt4 : DType::kInt8, code);
}

// x ≈ q · scale: q nearest to x · (127 / the largest magnitude), ties to even, all in fp32; zeros
// where no magnitude is above kLeastMagnitude, over which 127 would be no number. Where some x is
// none, the scale is NaN, and so becomes what is multiplied with it.
inline constexpr float kLeastMagnitude = 0x1p-120f;
float QuantizeActivations(std::span<const float> x, int8_t* q);

}  // namespace merope

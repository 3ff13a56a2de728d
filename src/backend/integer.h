// Integer weights and activations: how values become integers. The rules are the same for every
// back end, so that the reference back end multiplies the same integers as the fast back end.
// Called by back ends and by model/quantize, on any thread.
#pragma once

#include <cstdint>
#include <span>

#include "backend/matrix.h"
#include "checkpoint/integer_blocks.h"

namespace merope {

// A group of `group` weights along in_features has one scale, a bf16 number. A weight is the value
// of its code times the scale. Products add kIntegerOffset to the values, so that the values become
// unsigned bytes. x_group values of an activation row have one scale (0: the whole row has one
// scale). int8 uses rotated weights and activations (model/rotation.h). Rotation makes one scale
// per row sufficient. int4 is not rotated: the weights of 4 bits lose more than the activations,
// and they lose less without rotation (docs/quantization.md has the measurements).
struct IntegerFormat {
  int64_t group = 0, x_group = 0;
};
inline constexpr IntegerFormat kInt8Format = {64, 0};
inline constexpr IntegerFormat kInt4Format = {32, 32};
DType IntegerType(Precision precision);  // kInt8 or kInt4
bool IsInteger(Precision precision);     // kInt8 or kInt4
IntegerFormat FormatOf(Precision precision);

// With kNative, this number of values of an activation row has one scale.
inline constexpr int64_t kNativeGroup = 32;

// weights ≈ value of the code · scale. Writes weights.size() codes and returns the scale. int8: the
// values are from −127 to 127; the scale is the smallest bf16 number that holds the largest
// magnitude. int4: of a few candidate scales, the scale with the least squared error.
float QuantizeWeights(std::span<const float> weights, Precision precision, uint8_t* codes);
inline int32_t IntegerValue(Precision precision, uint8_t code) {
  return IntegerValue(precision == Precision::kInt4 ? DType::kInt4 : DType::kInt8, code);
}

// x ≈ q · scale. Returns the scale. q is the integer nearest to x · (127 / the largest magnitude),
// ties to even, all in fp32. If no magnitude is above kLeastMagnitude, q is zero, because 127 / the
// largest magnitude could overflow. If a value of x is NaN or infinite, the scale is NaN, and so is
// every product with the scale.
inline constexpr float kLeastMagnitude = 0x1p-120f;
float QuantizeActivations(std::span<const float> x, int8_t* q);

}  // namespace merope

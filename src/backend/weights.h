// Reading weights out of a checkpoint's tensors, for any back end.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "base/threads.h"

namespace merope {

// The stacked parts' total out_features; an error where their in_features differ or a bias does not
// fit.
Result<int64_t> StackedRows(std::span<const MatrixPart> parts);

// Decodes row `row` of the stacked parts to fp32. An error names the tensor if a value is NaN or
// infinite.
Status DecodeStackedRow(std::span<const MatrixPart> parts, int64_t row, std::span<float> out);

// The stored bytes of a row of stacked BF16 parts; and the same check of them.
std::span<const std::byte> StoredRow(std::span<const MatrixPart> parts, int64_t row);
Status CheckBf16Row(std::span<const MatrixPart> parts, int64_t row);

// The stacked biases (zero where a part has none); empty when no part has one.
Result<std::vector<float>> StackedBias(std::span<const MatrixPart> parts);

// A norm's gain or a bias as fp32.
Result<std::vector<float>> DecodeVector(const TensorView& vector);

}  // namespace merope

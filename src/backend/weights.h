// Reading weights out of a checkpoint's tensors, for any back end.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "backend/matrix.h"
#include "base/threads.h"

namespace merope {

// The stacked parts' total out_features; an error where their in_features differ or a bias does not
// fit.
Result<int64_t> StackedRows(std::span<const MatrixPart> parts);

// Whether all of the parts are a GGUF's quantized weights: what kStored multiplies as they are.
bool AllQuantized(std::span<const MatrixPart> parts);
// Whether all of them are of this type.
bool AllOf(std::span<const MatrixPart> parts, DType dtype);

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

// What is said of a row that holds NaN or infinity.
Error NonFiniteError(const TensorView& tensor, int64_t row);

// Of rows read by several threads, the error of the lowest one, whichever met one first.
class FirstError {
 public:
  void Record(int64_t row, Error error);
  std::optional<Error>& error() { return error_; }  // when they are done

 private:
  std::mutex mutex_;
  int64_t row_ = 0;
  std::optional<Error> error_;
};

}  // namespace merope

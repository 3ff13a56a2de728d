// Reads weights from a checkpoint's tensors, for any back end. Called by the loading thread; the
// threads of its team read the rows.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "backend/matrix.h"
#include "base/threads.h"

namespace merope {

// The total out_features of the stacked parts. Errors: the in_features of the parts differ, or a
// bias does not fit its weight.
Result<int64_t> StackedRows(std::span<const MatrixPart> parts);

// Whether all parts are quantized weights of a GGUF. kNative multiplies the integers of such parts
// directly.
bool AllQuantized(std::span<const MatrixPart> parts);
// Whether all parts have this type.
bool AllOf(std::span<const MatrixPart> parts, DType dtype);

// Decodes row `row` of the stacked parts to fp32. If a value is NaN or infinite, the error names
// the tensor.
Status DecodeStackedRow(std::span<const MatrixPart> parts, int64_t row, std::span<float> out);

// The stored bytes of row `row` of the stacked parts.
std::span<const std::byte> StoredRow(std::span<const MatrixPart> parts, int64_t row);
// For BF16 parts: the same check for NaN and infinity as in DecodeStackedRow, on the stored row.
Status CheckBf16Row(std::span<const MatrixPart> parts, int64_t row);

// The stacked biases. A part without a bias has zeros. Empty if no part has a bias.
Result<std::vector<float>> StackedBias(std::span<const MatrixPart> parts);

// A norm's gain or a bias as fp32. Error: a value is NaN or infinite.
Result<std::vector<float>> DecodeVector(const WeightTensor& vector);

// The error for a row that holds NaN or infinity.
Error NonFiniteError(const WeightTensor& tensor, int64_t row);

// Collects errors while several threads read rows. Keeps the error of the lowest row, whichever
// error comes first.
class FirstError {
 public:
  void Record(int64_t row, Error error);
  std::optional<Error>& error() { return error_; }  // call when all threads are done

 private:
  std::mutex mutex_;
  int64_t row_ = 0;
  std::optional<Error> error_;
};

}  // namespace merope

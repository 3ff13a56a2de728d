#include "checkpoint/tensor_view.h"

#include "base/error.h"

namespace merope {

std::span<const std::byte> TensorView::Row(int64_t row) const {
  CHECK(row >= 0 && row < rows());
  const auto size = static_cast<size_t>(RowBytes(dtype, cols()));
  return bytes.subspan(static_cast<size_t>(row) * size, size);
}

void TensorView::DecodeRow(int64_t row, std::span<float> out) const {
  CHECK(std::ssize(out) == cols());
  Dequantize(dtype, Row(row).data(), cols(), out.data());
}

}  // namespace merope

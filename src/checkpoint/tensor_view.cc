#include "checkpoint/tensor_view.h"

#include <cstring>

#include "base/error.h"

namespace merope {
namespace {

// Where GGUF puts HF's row `row` of permuted heads: (2, d/2) in HF is (d/2, 2) in GGUF.
int64_t StoredRow(int64_t row, int64_t n_rows, int64_t heads) {
  const int64_t head_dim = n_rows / heads, half = head_dim / 2;
  const int64_t head = row / head_dim, in_head = row % head_dim;
  return head * head_dim + (in_head % half) * 2 + in_head / half;
}

}  // namespace

std::span<const std::byte> TensorView::Row(int64_t row) const {
  CHECK(row >= 0 && row < rows());
  const auto size = static_cast<size_t>(RowBytes(dtype, cols()));
  if (permuted_heads > 0) {
    CHECK(shape.size() == 2, "{}: a permuted vector has no stored row in HF's order", name);
    row = StoredRow(row, rows(), permuted_heads);
  }
  return bytes.subspan(static_cast<size_t>(row) * size, size);
}

void TensorView::DecodeRow(int64_t row, std::span<float> out) const {
  const int64_t n = cols();
  CHECK(static_cast<int64_t>(out.size()) == n);
  if (permuted_heads > 0 && shape.size() < 2) {  // the bias of a permuted matrix
    std::vector<float> stored(out.size());
    Dequantize(dtype, bytes.data(), n, stored.data());
    for (int64_t i = 0; i < n; ++i) {
      out[static_cast<size_t>(i)] = stored[static_cast<size_t>(StoredRow(i, n, permuted_heads))];
    }
    return;
  }
  Dequantize(dtype, Row(row).data(), n, out.data());
}

}  // namespace merope

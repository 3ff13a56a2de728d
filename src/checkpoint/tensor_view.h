// A weight tensor as it lies in a mapped checkpoint file. A view: the Checkpoint owns the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace merope {

struct TensorView {
  std::string name;  // HF's name, also for tensors of a GGUF file
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // outermost first: (out_features, in_features) or (n)
  std::span<const std::byte> bytes;
  // GGUF stores the rows of each Q and K head with the halves interleaved: (head_dim/2, 2) instead
  // of (2, head_dim/2). This many heads are so stored (0: rows lie in HF's order); Row and
  // DecodeRow give HF's order.
  int64_t permuted_heads = 0;

  int64_t rows() const {  // all dimensions but the last
    int64_t n = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
    return n;
  }
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t elements() const { return rows() * cols(); }

  // The stored bytes of a row, in HF's row order.
  std::span<const std::byte> Row(int64_t row) const;
  // A row as fp32, exactly (out: cols() values).
  void DecodeRow(int64_t row, std::span<float> out) const;
};

// n elements (a multiple of the block size) of any dtype to fp32, as ggml's reference
// dequantization computes them.
void Dequantize(DType dtype, const std::byte* data, int64_t n, float* out);

}  // namespace merope

// A weight tensor in a mapped checkpoint file. A TensorView is a view: the Checkpoint owns the
// bytes. Any thread may read a view.
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
  // A llama's GGUF interleaves the halves of the rows of each Q and K head: the order is
  // (head_dim/2, 2) instead of (2, head_dim/2). permuted_heads is the number of heads that are
  // stored in this order. 0: the rows lie in HF's order. weight_source.h converts rows to HF's
  // order.
  int64_t permuted_heads = 0;

  int64_t rows() const {  // product of all dimensions but the last
    int64_t n = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
    return n;
  }
  int64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  int64_t elements() const { return rows() * cols(); }

  // The stored bytes of a row. Rows have the file's order.
  std::span<const std::byte> Row(int64_t row) const;
  // Converts a row to fp32, exactly (out: cols() values).
  void DecodeRow(int64_t row, std::span<float> out) const;
};

// Converts n elements of any dtype to fp32. For ggml's types, the values are those of ggml's
// reference dequantization. n is a multiple of the block size, except for INT8 and INT4, where the
// last block may be short.
void Dequantize(DType dtype, const std::byte* data, int64_t n, float* out);

}  // namespace merope

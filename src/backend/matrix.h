// The matrices that a back end hands out, and the interface that takes weights in. Plain values,
// and handles that only their back end may look behind. Used by the engine's thread and the loading
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "checkpoint/weight_source.h"

namespace merope {

// What a matrix product multiplies.
//   kFp32: fp32 values.
//   kBf16: both inputs of every product (weights, activations, q, k, v and the softmax's
//     probabilities) are rounded to bf16. Sums are fp32.
//   kInt8, kInt4: products with weights multiply integers (integer.h): activations of 8 bits with
//     weights of 8 or 4 bits. Attention is as in kBf16.
//   kNative: products with a GGUF's quantized weights multiply the file's own integers. Products
//     with other weights, and attention, are as in kBf16.
enum class Precision : uint8_t { kFp32, kBf16, kInt8, kInt4, kNative };
std::string_view PrecisionName(Precision precision);  // "fp32", "bf16", "int8", "int4", "native"

// An fp32 matrix in a back end's memory: rows × cols. Consecutive rows are `stride` elements apart.
// A view: the back end owns the memory.
struct Tensor {
  // A handle: an address in the back end's memory. Only the back end's ops read and write there.
  float* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;

  Tensor Rows(int64_t begin, int64_t n) const { return {data + begin * stride, n, cols, stride}; }
  Tensor Cols(int64_t begin, int64_t n) const { return {data + begin, rows, n, stride}; }
};

// A weight matrix (out_features, in_features) in the back end's own form, with the bias if there is
// one.
class Matrix {
 public:
  virtual ~Matrix() = default;
  int64_t out_features = 0, in_features = 0;
  int64_t bytes = 0;  // resident in memory
};

// A part of a matrix. Parts are stacked by output feature: gate_proj and up_proj are one product.
struct MatrixPart {
  const WeightTensor* weight = nullptr;  // (out, in)
  const WeightTensor* bias = nullptr;    // (out); may be null
};

// How a back end stores the matrices that it has loaded.
struct WeightSummary {
  bool packed = false;      // some matrices hold bf16 weights in 12 bits
  int64_t bytes = 0;        // resident in memory
  int64_t plain_bytes = 0;  // bytes of the same matrices without packing
  double raw_share = 0;     // the share of packed steps that are stored raw
};

// How the parts of a matrix are arranged. kPaired: two parts of the same size. Row i of one part is
// needed together with row i of the other part (gate_proj and up_proj).
enum class Stacking : uint8_t { kStacked, kPaired };

// The destination of loaded weights: a back end, or a file (model/quantize.h).
class WeightTarget {
 public:
  virtual ~WeightTarget() = default;
  virtual Precision precision() const = 0;
  // Weights with NaN or infinities are an error that names the tensor. If `consumed` is set,
  // LoadMatrix calls it for each part when the bytes of the part have been read.
  virtual Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking stacking,
      const std::function<void(const WeightTensor&)>& consumed) = 0;
  virtual Result<Tensor> LoadVector(const WeightTensor& vector) = 0;  // (1, n)
};

}  // namespace merope

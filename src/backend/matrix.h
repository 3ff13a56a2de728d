// Matrices as a back end hands them out, and the seam that takes weights in. Plain values, and
// handles that only their back end may look into.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "checkpoint/tensor_view.h"

namespace merope {

// What a matrix product multiplies: kFp32; kBf16, where both inputs of every product (weights,
// activations, q, k, v and the softmax's probabilities) are rounded to bf16 and sums are fp32; or
// kInt8 and kInt4, where products with weights multiply integers (integer.h), activations of 8 bits
// with weights of 8 or 4; or kStored, where those with a GGUF's quantized weights multiply the
// file's own integers, and those with other weights are as in kBf16. Attention of all three is as
// in kBf16.
enum class Precision : uint8_t { kFp32, kBf16, kInt8, kInt4, kStored };
std::string_view PrecisionName(Precision precision);  // "fp32", "bf16", "int8", "int4", "stored"

// An fp32 matrix in a back end's memory: rows × cols, rows `stride` elements apart. A view; the
// back end owns it.
struct Tensor {
  float* data =
      nullptr;  // a handle: an address in the back end's memory, read and written by its ops only
  int64_t rows = 0, cols = 0, stride = 0;

  Tensor Rows(int64_t begin, int64_t n) const { return {data + begin * stride, n, cols, stride}; }
  Tensor Cols(int64_t begin, int64_t n) const { return {data + begin, rows, n, stride}; }
};

// A weight matrix (out_features, in_features) in the back end's own packed form, with its bias if
// it has one.
class Matrix {
 public:
  virtual ~Matrix() = default;
  int64_t out_features = 0, in_features = 0;
  int64_t bytes = 0;  // resident
};

// Parts of a matrix, stacked by output feature: gate_proj and up_proj are one product.
struct MatrixPart {
  const TensorView* weight;  // (out, in)
  const TensorView* bias;    // (out), or nullptr
  // What becomes of each row of the weight once it is decoded, before it is rounded; may be empty.
  std::function<void(std::span<float>)> turn = {};
};

// How a back end keeps the matrices it has loaded.
struct WeightSummary {
  bool packed = false;      // bf16 in 12 bits
  int64_t bytes = 0;        // resident
  int64_t plain_bytes = 0;  // what they would take as they are
  double raw_share = 0;     // of packed blocks, those kept as they are
};

// How a matrix's parts lie. kPaired: two of one size, whose rows i are needed together (gate_proj
// and up_proj).
enum class Stacking : uint8_t { kStacked, kPaired };

// What weights are loaded into: a back end, or a file (model/quantize.h).
class WeightTarget {
 public:
  virtual ~WeightTarget() = default;
  virtual Precision precision() const = 0;
  // Weights with NaN or infinities are an error that names the tensor. consumed, if set, is called
  // for each part when its bytes have been read.
  virtual Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking stacking,
      const std::function<void(const TensorView&)>& consumed) = 0;
  virtual Result<Tensor> LoadVector(const TensorView& vector) = 0;  // (1, n)
};

}  // namespace merope

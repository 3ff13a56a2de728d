// Turning weights so that integers hold them, and what they are multiplied with: the residual
// stream is multiplied by one orthogonal matrix Q throughout, and the inputs of o_proj and
// down_proj by Hadamard matrices. In exact arithmetic nothing changes; outliers are spread over all
// columns. (QuaRot, arXiv 2404.00456.)
//
//   embed_tokens · Q, lm_head · Q; W · diag(norm's gain) · Q for q, k, v, gate and up;
//   Qᵀ · W · H for o and down. Q = diag(random signs) · H. The final norm is computed on the stream
//   turned back, since its gain may not be folded into a head that is tied to the embedding.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/tensor_view.h"

namespace merope {

// The largest power of two that divides n: columns a Hadamard matrix mixes.
int64_t HadamardBlock(int64_t n);

// row · H in place: the orthonormal Hadamard matrix over blocks of HadamardBlock(row.size()).
void HadamardRow(std::span<float> row);

// Q, for rows of as many values as it has signs.
struct Rotation {
  std::vector<float> signs;
  explicit Rotation(int64_t n);
  void Turn(std::span<float> row) const;  // row · Q
};

// Values in memory that look like a checkpoint's tensor.
struct OwnedTensor {
  std::vector<float> values;
  TensorView view;
  OwnedTensor(std::string name, std::vector<int64_t> shape, std::vector<float> v);
};

// Qᵀ · W · H of a (hidden, in) weight, and b · Q of its bias. Errors: NaN or infinity.
Result<OwnedTensor> TurnIntoResidual(const TensorView& weight, const Rotation& rotation);
Result<OwnedTensor> TurnBias(const TensorView& bias, const Rotation& rotation);

}  // namespace merope

// Rotates a Llama's weights, for int8. int8 represents rotated weights, and the activations that
// are multiplied with them, far better than the original weights and activations. The residual
// stream is multiplied by one orthogonal matrix Q throughout, and the inputs of o_proj and
// down_proj are multiplied by Hadamard matrices H. In exact arithmetic the results do not change.
// Outliers are spread over all columns. (QuaRot, arXiv 2404.00456.) LoadLlamaWeights rotates, on
// the loading thread.
//
//   embed_tokens · Q, lm_head · Q; W · diag(norm's gain) · Q for q, k, v, gate and up;
//   Qᵀ · W · H for o and down. Q = diag(random signs) · H. The final norm runs on the residual
//   stream after rotation back by Qᵀ, because the gain of the final norm must not be folded into a
//   head that is tied to the embedding.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/weight_source.h"

namespace merope {

// The largest power of two that divides n: the number of columns that one Hadamard matrix mixes.
int64_t HadamardBlock(int64_t n);

// row · H in place. H is orthonormal and consists of Hadamard matrices on blocks of
// HadamardBlock(row.size()) columns.
void HadamardRow(std::span<float> row);

// The matrix Q, for rows with as many values as there are signs.
struct Rotation {
  std::vector<float> signs;
  explicit Rotation(int64_t n);
  void Rotate(std::span<float> row) const;  // row · Q
};

// Qᵀ · W · H of a (hidden, in) weight W, and b · Q of its bias b. Errors: a NaN or infinite value.
Result<std::unique_ptr<const WeightTensor>> RotateIntoResidual(const WeightTensor& weight,
                                                               const Rotation& rotation);
Result<std::unique_ptr<const WeightTensor>> RotateBias(const WeightTensor& bias,
                                                       const Rotation& rotation);

// The weights of a Llama with this hidden size. Open rotates each weight. The signs are the tensor
// kSignsTensor.
class RotatedWeights : public WeightSource {
 public:
  RotatedWeights(const WeightSource& plain, int64_t hidden) : plain_(plain), rotation_(hidden) {}

  bool rotated() const override { return true; }
  Result<std::unique_ptr<const WeightTensor>> Open(const std::string& name,
                                                   std::span<const int64_t> shape) const override;
  void Release(const std::string& name) const override { plain_.Release(name); }

 private:
  // The weight as rows · diag(gain) · Q. An empty gain counts as ones.
  std::unique_ptr<const WeightTensor> RotateRows(std::unique_ptr<const WeightTensor> plain,
                                                 std::vector<float> gain) const;

  const WeightSource& plain_;
  Rotation rotation_;
};

}  // namespace merope

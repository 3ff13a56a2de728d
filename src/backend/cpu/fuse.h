// Turns the recorded ops of a forward pass into the steps of a plan. Consecutive ops are fused
// where the fused step is known to give the same result. Any other op becomes a step of its own.
// Pure functions; called when a plan is captured.
//
// The fused patterns are
//   [GatherRows] [RmsNorm | Hadamard]… MatMul [Add | SwiGlu]
//   [RmsNorm | Hadamard]… MatMul [HeadNorm]… Rope StoreKv Attention, as two steps
// A fused step does not write the tensors that its ops pass to each other. Therefore no later op
// may read these tensors before another op has written them again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/cpu/ops.h"
#include "backend/cpu/packed.h"
#include "backend/matrix.h"

namespace merope::cpu {

// A transformation of a row before a product.
struct RowTransform {
  Tensor norm = {};  // a norm with this gain; if data is null, a Hadamard transform
  float eps = 0;
  int64_t block = 0;
  Tensor signs = {};
  bool inverse = false;
};

// A norm of each head of q or of k.
struct HeadNorm {
  Tensor weight = {};  // data is null: no norm
  float eps = 0;
};

struct FusedStep {
  enum class Kind : uint8_t { kOp, kProduct, kAttention };
  enum class Then : uint8_t { kStore, kAdd, kRope, kSwiGlu };
  Kind kind = {};
  // The rows of this step's tensors are the logit rows of the current Step. If `gathers`, x has all
  // rows of the Step.
  bool gathered = false;
  Op op = {};  // kOp
  // kProduct: out = Then(transforms(x) · matrixᵀ). If `gathers`, only the logit rows of x are used.
  bool gathers = false;
  Tensor x = {};
  std::vector<RowTransform> transforms = {};
  const PackedMatrix* matrix = nullptr;
  Then then = Then::kStore;
  Tensor out = {};
  // kRope, and kAttention after kRope: q and k, the columns of the product to normalize and rotate.
  Tensor q = {}, k = {};
  HeadNorm q_norm = {}, k_norm = {};
  int64_t head_dim = 0;
  // kAttention
  int64_t layer = 0;
  Tensor v = {};
  float scale = 0;
};

// head_dim: the head dimension of the K/V cache.
std::vector<FusedStep> Fuse(std::span<const Op> ops, int64_t head_dim);

}  // namespace merope::cpu

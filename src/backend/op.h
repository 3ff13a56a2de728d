// The ops: a kind and its operands, and OpRunner, whose functions make an op of their arguments. A
// back end runs an op at once, or records it for a plan.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "backend/matrix.h"

namespace merope {

// OpRunner defines each op.
enum class OpKind : uint8_t {
  kEmbed,
  kRmsNorm,
  kHeadNorm,
  kLayerNorm,
  kMatMul,
  kRope,
  kStoreKv,
  kAttention,
  kBidirectionalAttention,
  kHadamard,
  kSwiGlu,
  kGelu,
  kAdd,
  kGatherRows
};

struct Op {
  OpKind kind = {};
  // Inputs, and the output. An op without `out` writes x, except StoreKv, which writes the cache.
  Tensor x = {}, y = {}, z = {}, out = {};
  const Matrix* matrix = nullptr;
  int64_t layer = 0, head_dim = 0, block = 0;
  float value = 0;  // eps, or the scale of scores
  bool inverse = false;

  std::array<Tensor, 3> reads() const { return {x, y, z}; }
  // data is null: none.
  Tensor written() const {
    if (kind == OpKind::kStoreKv) return {};
    return out.data != nullptr ? out : x;
  }
};

// "RmsNorm".
constexpr std::string_view OpName(OpKind kind) {
  constexpr std::string_view kNames[] = {"Embed",     "RmsNorm",   "HeadNorm",
                                         "LayerNorm", "MatMul",    "Rope",
                                         "StoreKv",   "Attention", "BidirectionalAttention",
                                         "Hadamard",  "SwiGlu",    "Gelu",
                                         "Add",       "GatherRows"};
  return kNames[static_cast<size_t>(kind)];
}

class OpRunner {
 public:
  virtual ~OpRunner() = default;

  // Runs the op, or records it during Capture. The caller passes only ops that the back end
  // supports. An output does not overlap an input, except in ops that work in place.
  virtual void Run(const Op& op) = 0;

  // out (n_tokens, hidden) = the rows of the table (vocab, hidden) for the step's tokens, with the
  // values that the matrix stores.
  void Embed(const Matrix& table, const Tensor& out) {
    Run({.kind = OpKind::kEmbed, .out = out, .matrix = &table});
  }
  // out = x / sqrt(mean(x²) + eps) · weight, row by row.
  void RmsNorm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) {
    Run({.kind = OpKind::kRmsNorm, .x = x, .y = weight, .out = out, .value = eps});
  }
  // In place on x (n_tokens, heads · head_dim): RmsNorm of each head. The weight is (1, head_dim).
  void HeadNorm(const Tensor& x, const Tensor& weight, float eps) {
    Run({.kind = OpKind::kHeadNorm, .x = x, .y = weight, .value = eps});
  }
  // out = (x − mean(x)) / sqrt(variance(x) + eps) · weight + bias, row by row.
  void LayerNorm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps,
                 const Tensor& out) {
    Run({.kind = OpKind::kLayerNorm, .x = x, .y = weight, .z = bias, .out = out, .value = eps});
  }
  // out (n, out_features) = x (n, in_features) · matrixᵀ + bias.
  void MatMul(const Tensor& x, const Matrix& matrix, const Tensor& out) {
    Run({.kind = OpKind::kMatMul, .x = x, .out = out, .matrix = &matrix});
  }
  // In place on x (n_tokens, heads · head_dim): rotates the pair (x[i], x[i + head_dim/2]) of each
  // head by the step's angles.
  void Rope(const Tensor& x, int64_t head_dim) {
    Run({.kind = OpKind::kRope, .x = x, .head_dim = head_dim});
  }
  // Writes k and v (n_tokens, kv_heads · head_dim) of the step's rows to the cache.
  void StoreKv(int64_t layer, const Tensor& k, const Tensor& v) {
    Run({.kind = OpKind::kStoreKv, .x = k, .y = v, .layer = layer});
  }
  // In place on x, in blocks of `block` columns. `block` is a power of two that divides x.cols.
  // Multiplies by the signs (1, cols) element by element, then by the orthonormal Hadamard matrix.
  // With `inverse`: by the Hadamard matrix, then by the signs. If signs.data is null, no signs.
  void Hadamard(const Tensor& x, int64_t block, const Tensor& signs, bool inverse) {
    Run({.kind = OpKind::kHadamard, .x = x, .y = signs, .block = block, .inverse = inverse});
  }
  // out = softmax(q·Kᵀ · scale, causal) · V over the cache. Each group of n_heads / kv_heads query
  // heads shares one K/V head.
  void Attention(int64_t layer, const Tensor& q, float scale, const Tensor& out) {
    Run({.kind = OpKind::kAttention, .x = q, .out = out, .layer = layer, .value = scale});
  }
  // The attention of encoders: out = softmax(q·kᵀ · scale) · v. Each row attends to all rows of its
  // sequence in the step. No cache is used.
  void BidirectionalAttention(const Tensor& q, const Tensor& k, const Tensor& v, int64_t head_dim,
                              float scale, const Tensor& out) {
    Run({.kind = OpKind::kBidirectionalAttention,
         .x = q,
         .y = k,
         .z = v,
         .out = out,
         .head_dim = head_dim,
         .value = scale});
  }
  // out (n, m) = silu(gate_up[:, :m]) · gate_up[:, m:].
  void SwiGlu(const Tensor& gate_up, const Tensor& out) {
    Run({.kind = OpKind::kSwiGlu, .x = gate_up, .out = out});
  }
  // out = x · Φ(x), with Φ computed from erf.
  void Gelu(const Tensor& x, const Tensor& out) {
    Run({.kind = OpKind::kGelu, .x = x, .out = out});
  }
  // x += y.
  void Add(const Tensor& x, const Tensor& y) { Run({.kind = OpKind::kAdd, .x = x, .y = y}); }
  // out (n_logit_rows, cols) = the step's logit rows of x.
  void GatherRows(const Tensor& x, const Tensor& out) {
    Run({.kind = OpKind::kGatherRows, .x = x, .out = out});
  }
};

}  // namespace merope

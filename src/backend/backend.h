// The interface between the model and the hardware: memory, weights and about a dozen ops. A back
// end owns its memory. It hands out handles, and only the back end may look behind a handle. One
// thread at a time uses a back end: the engine's thread or the loading thread.
//
// All activations are fp32. The result of an op for a row depends only on that row. The result is
// bit-identical whatever other rows the step has, and for any number of rows, any split into steps
// and any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/matrix.h"
#include "backend/op.h"
#include "backend/step.h"
#include "base/error.h"

namespace merope {

class Backend : public WeightTarget {
 public:
  virtual std::string name() const = 0;  // "cpu (AVX3_ZEN4, 2 threads)"
  // Whether the back end has this op when products use this precision. A model asks before it
  // loads.
  virtual bool Supports(Precision precision, OpKind op) const = 0;

  // Memory. Tensors and weights live as long as the back end. A new tensor holds zeros. Error: not
  // enough memory.
  virtual Result<Tensor> Allocate(int64_t rows, int64_t cols) = 0;
  virtual int64_t AvailableBytes() const = 0;  // about the bytes that can still be allocated
  virtual WeightSummary weights() const = 0;
  // Memory for n_pages pages, filled with zeros.
  virtual Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) = 0;
  // The bytes of one position's K and V, without padding.
  virtual int64_t KvTokenBytes(const KvShape& shape) const = 0;
  // Copies page `from`, with every layer, to page `to`. Called between steps.
  virtual void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) = 0;

  // Starts to copy a tensor to `to`: rows × cols values, dense. The values are those that the ops
  // issued so far leave in the tensor. `to` holds the values, and the caller may use `to`, only
  // after FinishCopies.
  virtual void StartCopyOut(const Tensor& from, std::span<float> to) = 0;
  virtual void FinishCopies() = 0;
  void CopyOut(const Tensor& from, std::span<float> to) {
    StartCopyOut(from, to);
    FinishCopies();
  }

  // A step's ops run between BeginStep and EndStep. The step's spans must stay valid until EndStep.
  virtual void BeginStep(const Step& step) = 0;
  virtual void EndStep() = 0;

  // The numbers of rows for which this back end wants one plan each, in ascending order. The last
  // number is `most`. A step uses the first plan that has enough rows. The list is empty if the
  // back end only runs ops one by one.
  virtual std::vector<int64_t> PlanRows(int64_t most) const = 0;
  // Records the ops that `forward` issues and does not run them. The plan is for steps within the
  // limits. Returns nullptr if the back end cannot record ops.
  virtual std::unique_ptr<Plan> Capture(const PlanLimits& limits, const KvShape& kv,
                                        const std::function<void()>& forward) = 0;
  // Runs the plan's ops on the current step. Results are bit-identical to running the ops one by
  // one. Only the plan's last op is certain to write its output tensor. Output tensors of earlier
  // ops may keep their old contents.
  virtual void Replay(Plan& plan) = 0;

  // Runs the op, or records it during Capture. Only ops that Supports names are passed. An output
  // does not overlap an input, except in ops that work in place. The
  // functions below make an op of their arguments and pass it on.
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

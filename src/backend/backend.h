// The seam between the model and the hardware: memory, weights, and about a dozen ops. A back end
// owns its memory; what it hands out are handles that only it may look into. Used by one thread at
// a time (the engine's, or the loader's).
//
// All activations are fp32. What an op computes for one row depends on that row alone: never on its
// neighbours, their number, the split into steps or the number of threads, to the bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "backend/matrix.h"
#include "backend/step.h"
#include "base/error.h"

namespace merope {

class Backend : public WeightTarget {
 public:
  virtual std::string name() const = 0;  // "cpu (AVX3_ZEN4, 2 threads)"

  // Memory. Tensors and weights live as long as the back end; tensors are zero at first, and taken
  // from the system only as they are touched.
  virtual Tensor Allocate(int64_t rows, int64_t cols) = 0;
  virtual void CopyOut(const Tensor& from, std::span<float> to) = 0;  // rows × cols values, dense
  virtual WeightSummary weights() const = 0;
  // Zeroed memory for that many pages, taken from the system only as it is touched.
  virtual Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) = 0;
  virtual int64_t KvTokenBytes(const KvShape& shape) const = 0;  // a position's K and V, unpadded
  // All that page `from` holds, of every layer, to page `to` as well. Between steps.
  virtual void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) = 0;

  // A step's ops run between BeginStep and EndStep; the step's spans stay valid until EndStep.
  virtual void BeginStep(const Step& step) = 0;
  virtual void EndStep() = 0;

  // Records the ops that `forward` issues instead of running them, for steps of any rows within the
  // limits; nullptr from a back end that only runs them one by one.
  virtual std::unique_ptr<Plan> Capture(const PlanLimits& limits, const KvShape& kv,
                                        const std::function<void()>& forward) = 0;
  // Runs them all on the step that was begun, with the same results, to the bit, as one by one.
  // What the ops before wrote is found where they would have left it only for the plan's last op.
  virtual void Replay(Plan& plan) = 0;

  // out (n_tokens, hidden) = rows of the table (vocab, hidden) at the step's tokens, as the matrix
  // stores them.
  virtual void Embed(const Matrix& table, const Tensor& out) = 0;
  // out = x / sqrt(mean(x²) + eps) · weight, row by row.
  virtual void RmsNorm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) = 0;
  // out (n, out_features) = x (n, in_features) · matrixᵀ + bias.
  virtual void MatMul(const Tensor& x, const Matrix& matrix, const Tensor& out) = 0;
  // In place on x (n_tokens, heads · head_dim): the pair (x[i], x[i + head_dim/2]) of each head
  // turned by the step's angles.
  virtual void Rope(const Tensor& x, int64_t head_dim) = 0;
  // Writes k and v (n_tokens, kv_heads · head_dim) of the step's rows into the cache.
  virtual void StoreKv(int64_t layer, const Tensor& k, const Tensor& v) = 0;
  // In place on x, in blocks of `block` columns (a power of two that divides them): times the
  // orthonormal Hadamard matrix, after a product with the signs (1, cols) element by element; or
  // the inverse of that. signs.data may be null: no such product.
  virtual void Hadamard(const Tensor& x, int64_t block, const Tensor& signs, bool inverse) = 0;
  // out = softmax(q·Kᵀ · scale, causal) · V, each group of n_heads / kv_heads query heads sharing a
  // K/V head.
  virtual void Attention(int64_t layer, const Tensor& q, float scale, const Tensor& out) = 0;
  // out (n, m) = silu(gate_up[:, :m]) · gate_up[:, m:].
  virtual void SwiGlu(const Tensor& gate_up, const Tensor& out) = 0;
  // x += y.
  virtual void Add(const Tensor& x, const Tensor& y) = 0;
  // out (n_logit_rows, cols) = the step's logit rows of x.
  virtual void GatherRows(const Tensor& x, const Tensor& out) = 0;
};

// How bf16 weights are kept: as they are, or in 12 bits, losslessly; kAuto takes what a product of
// one row reads faster, by a short measurement at load. The results are the same bits.
enum class WeightStorage : uint8_t { kAuto, kPlain, kPacked };
// How K and V are kept: as products take them (fp32, or else bf16), or as integers from −127 to 127
// with one scale a token and head, which attention then multiplies with queries of the same kind
// and with probabilities of 16 bits.
enum class KvStorage : uint8_t { kAuto, kInt8 };

struct CpuOptions {
  Precision precision = Precision::kBf16;
  int threads = 0;  // 0: DefaultThreads()
  WeightStorage weights = WeightStorage::kAuto;
  KvStorage kv = KvStorage::kAuto;
};
// The fast back end: Highway kernels for the best instruction set the CPU has.
std::unique_ptr<Backend> MakeCpuBackend(const CpuOptions& options);
// The oracle: plain loops, every sum in double; with kBf16, inputs rounded exactly where the fast
// one rounds them.
std::unique_ptr<Backend> MakeReferenceBackend(const CpuOptions& options);

}  // namespace merope

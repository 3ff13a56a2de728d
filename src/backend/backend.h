// The seam between the model and the hardware: memory, weights, and about a dozen ops. A back end
// owns its memory; what it hands out are handles that only it may look into. Used by one thread at
// a time (the engine's, or the loader's).
//
// All activations are fp32. Precision says what a matrix product multiplies: kFp32; kBf16, where
// both inputs of every product (weights, activations, q, k, v and the softmax's probabilities) are
// rounded to bf16 and sums are fp32; or kInt8 and kInt4, where products with weights multiply
// integers (integer.h), activations of 8 bits with weights of 8 or 4; or kStored, where those with
// a GGUF's quantized weights multiply the file's own integers, and those with other weights are as
// in kBf16. Attention of all three is as in kBf16.
//
// What an op computes for one row depends on that row alone: never on its neighbours, their number,
// the split into steps or the number of threads, to the bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "checkpoint/tensor_view.h"

namespace merope {

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

// A forward pass's ops, recorded and fused; its back end's own.
class Plan {
 public:
  virtual ~Plan() = default;
  int64_t ops = 0;    // that an eager pass would run
  int64_t steps = 0;  // that a replay runs
  int64_t bytes = 0;  // of static memory
};

// The largest step a plan is for.
struct PlanLimits {
  int64_t rows = 0, logit_rows = 0, context = 0;
};

// KV cache: pages of kPageTokens positions; a page holds the K and V of every layer and head for
// its positions.
inline constexpr int64_t kPageTokens = 64;
struct KvShape {
  int64_t n_layers = 0, n_kv_heads = 0, head_dim = 0;
  int64_t PageElements() const { return 2 * n_layers * n_kv_heads * head_dim * kPageTokens; }
};
class KvMemory {
 public:
  virtual ~KvMemory() = default;
  KvShape shape;
  int64_t n_pages = 0;
};

// The rows of one sequence in a step: n_rows new tokens at positions context … context + n_rows −
// 1, their K and V to go to pages[position / kPageTokens].
struct SequenceRows {
  int64_t first_row = 0, n_rows = 0, context = 0;
  std::span<const int32_t> pages;
};

// Everything about a step that is not weights or activations, known before it runs.
struct Step {
  std::span<const int32_t> tokens;  // (n_tokens)
  std::span<const float> rope_cos,
      rope_sin;  // (n_tokens, head_dim / 2), both already times the attention factor
  std::span<const SequenceRows> sequences;  // in row order, covering all rows
  std::span<const int32_t> logit_rows;      // the rows that need logits
  KvMemory* kv = nullptr;
};

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

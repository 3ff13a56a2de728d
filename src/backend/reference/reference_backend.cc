// The reference back end: memory and weights. Its ops are in ops.h. With Precision::kBf16, the
// inputs of each matrix product are rounded at exactly the same points as in the fast back ends.
// With integers, the inputs are the same integers.
#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "backend/host_backend.h"
#include "backend/integer.h"
#include "backend/reference/ops.h"
#include "backend/registry.h"
#include "backend/weights.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope {
namespace {

using reference::DenseKv;
using reference::DenseMatrix;

class ReferenceBackend : public HostBackend {
 public:
  explicit ReferenceBackend(const BackendOptions& options)
      : ops_(options, options.threads > 0 ? options.threads : DefaultThreads()) {}

  std::string name() const override {
    return fmt::format("reference ({} threads)", ops_.threads());
  }
  Precision precision() const override { return ops_.precision(); }
  int64_t KvTokenBytes(const KvShape& shape) const override {
    return shape.PageElements() / kPageTokens * static_cast<int64_t>(sizeof(float));
  }

  bool Supports(Precision /*precision*/, OpKind /*op*/) const override { return true; }

  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking,
      const std::function<void(const WeightTensor&)>& consumed) override {
    auto matrix = std::make_unique<DenseMatrix>();
    TRY_ASSIGN(matrix->out_features, StackedRows(parts));
    matrix->in_features = parts[0].weight->cols();
    const bool exact = IsInteger(precision()) && AllOf(parts, IntegerType(precision()));
    const bool native = precision() == Precision::kNative && AllQuantized(parts);
    if (IsInteger(precision())) {
      const int64_t x_group = FormatOf(precision()).x_group;
      matrix->x_group = x_group > 0 ? x_group : matrix->in_features;
    }
    if (native) matrix->x_group = kNativeGroup;
    TRY_ASSIGN(matrix->bias, StackedBias(parts));
    matrix->weight.resize(static_cast<size_t>(matrix->out_features * matrix->in_features));
    matrix->bytes = static_cast<int64_t>(matrix->weight.size() * sizeof(float));
    for (int64_t row = 0; row < matrix->out_features; ++row) {
      const std::span out(matrix->weight.data() + row * matrix->in_features,
                          static_cast<size_t>(matrix->in_features));
      TRY(DecodeStackedRow(parts, row, out));
      if (!native && !exact) ops_.RoundWeights(out);
    }
    if (consumed)
      for (const MatrixPart& part : parts) consumed(*part.weight);
    matrices_.push_back(std::move(matrix));
    return matrices_.back().get();
  }

  WeightSummary weights() const override {
    WeightSummary summary;
    for (const auto& matrix : matrices_) summary.bytes += matrix->bytes;
    summary.plain_bytes = summary.bytes;
    return summary;
  }

  Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) override {
    auto kv = std::make_unique<DenseKv>();
    kv->shape = shape;
    kv->n_pages = n_pages;
    try {
      kv->values = PageArray<float>(n_pages * shape.PageElements());
    } catch (const std::bad_alloc&) {
      return Err("KV cache: expected memory for {} tokens, found none", n_pages * kPageTokens);
    }
    return kv;
  }

  void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) override {
    auto& dense = static_cast<DenseKv&>(kv);
    std::copy_n(dense.At(from, 0, 0, 0, 0), dense.shape.PageElements(), dense.At(to, 0, 0, 0, 0));
  }

  void BeginStep(const Step& step) override { ops_.set_step(step); }
  void EndStep() override { ops_.set_step({}); }
  std::vector<int64_t> PlanRows(int64_t /*most*/) const override { return {}; }
  std::unique_ptr<Plan> Capture(const PlanLimits&, const KvShape&,
                                const std::function<void()>&) override {
    return nullptr;
  }
  void Replay(Plan&) override { CHECK(false, "this back end has no plans"); }
  void Run(const Op& op) override { ops_.Run(op); }

 private:
  reference::Ops ops_;
  std::vector<std::unique_ptr<DenseMatrix>> matrices_;
};

}  // namespace

std::unique_ptr<Backend> MakeReferenceBackend(const BackendOptions& options) {
  return std::make_unique<ReferenceBackend>(options);
}

}  // namespace merope

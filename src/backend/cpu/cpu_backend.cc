// The fast back end. Runs each op at once, split among the thread team, or records the op for a
// plan. The split is never within an output element.
#include <algorithm>
#include <atomic>
#include <new>
#include <vector>

#include "backend/cpu/choose_form.h"
#include "backend/cpu/ops.h"
#include "backend/cpu/packed.h"
#include "backend/cpu/packer.h"
#include "backend/cpu/plan.h"
#include "backend/host_backend.h"
#include "backend/registry.h"
#include "backend/weights.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope {
namespace {

using cpu::AttentionItem;
using cpu::Ops;
using cpu::PackedKv;
using cpu::PackedMatrix;
using cpu::WeightForm;

// An op on rows with at most this number of elements runs on the calling thread alone, because a
// join costs more than the other threads save.
constexpr int64_t kSerialElements = 32768;

WeightForm FormOf(const BackendOptions& options) {
  switch (options.precision) {
    case Precision::kFp32:
      return WeightForm::kFp32;
    case Precision::kInt8:
      return WeightForm::kInt8;
    case Precision::kInt4:
      return WeightForm::kInt4;
    case Precision::kBf16:
    case Precision::kNative:  // for matrices that are not quantized
      break;
  }
  // kAuto starts packed. The first matrix that is large enough decides (PackedIsFaster).
  return options.weights == WeightStorage::kPlain ? WeightForm::kBf16 : WeightForm::kPackedBf16;
}

cpu::KvForm FormOfKv(const BackendOptions& options) {
  if (options.kv == KvStorage::kInt8) return cpu::KvForm::kInt8;
  return options.precision == Precision::kFp32 ? cpu::KvForm::kFp32 : cpu::KvForm::kBf16;
}

class CpuBackend : public HostBackend {
 public:
  explicit CpuBackend(const BackendOptions& options)
      : ops_(options.precision, FormOfKv(options)),
        team_(options.threads > 0 ? options.threads : DefaultThreads()),
        storage_(options.weights),
        form_(FormOf(options)),
        packer_(ops_.matmul(), team_),
        scratch_(static_cast<size_t>(team_.size())),
        unpacked_(static_cast<size_t>(team_.size())) {}

  std::string name() const override {
    return fmt::format("cpu ({}, {} thread{})", ops_.target(), team_.size(),
                       team_.size() == 1 ? "" : "s");
  }
  Precision precision() const override { return ops_.precision(); }
  int64_t KvTokenBytes(const KvShape& shape) const override {
    const int64_t d = shape.head_dim;
    const int64_t head = ops_.kv_form() == cpu::KvForm::kFp32   ? 2 * 4 * d
                         : ops_.kv_form() == cpu::KvForm::kBf16 ? 2 * 2 * d
                                                                : 2 * (d + 4);  // + 4: a scale
    return shape.n_layers * shape.n_kv_heads * head;
  }

  bool Supports(Precision /*precision*/, OpKind op) const override {
    return op != OpKind::kLayerNorm && op != OpKind::kBidirectionalAttention && op != OpKind::kGelu;
  }

  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking stacking,
      const std::function<void(const WeightTensor&)>& consumed) override {
    const bool native = precision() == Precision::kNative && AllQuantized(parts);
    TRY_ASSIGN(auto matrix, packer_.Pack(parts, stacking, native ? WeightForm::kNative : form_));
    if (!native && storage_ == WeightStorage::kAuto && form_ == WeightForm::kPackedBf16 &&
        4 * matrix->panels() * matrix->k_steps * matrix->panel >= cpu::kTellingBytes) {
      storage_ = cpu::PackedIsFaster(*matrix, ops_, team_) ? WeightStorage::kPacked
                                                           : WeightStorage::kPlain;
      if (storage_ == WeightStorage::kPlain) {
        form_ = WeightForm::kBf16;
        matrix.reset();
        packer_.DropRoom();
        TRY_ASSIGN(matrix, packer_.Pack(parts, stacking, form_));
      }
    }
    if (consumed)
      for (const MatrixPart& part : parts) consumed(*part.weight);
    matrices_.push_back(std::move(matrix));
    return matrices_.back().get();
  }

  WeightSummary weights() const override {
    WeightSummary summary;
    int64_t steps = 0, raw = 0;
    for (const auto& matrix : matrices_) {
      summary.packed |= matrix->form == WeightForm::kPackedBf16;
      summary.bytes += matrix->bytes;
      summary.plain_bytes += matrix->integer() || matrix->form == WeightForm::kNative
                                 ? matrix->bytes
                                 : matrix->panels() * matrix->k_steps * matrix->panel * 4;
      steps += std::ssize(matrix->raw);
      raw += matrix->RawSteps();
    }
    if (steps > 0) summary.raw_share = static_cast<double>(raw) / static_cast<double>(steps);
    return summary;
  }

  Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) override {
    if (ops_.kv_form() == cpu::KvForm::kInt8 && shape.head_dim > cpu::kMaxInt8HeadDim)
      return Err("an int8 K/V cache: expected a head_dim of at most {}, found {}",
                 cpu::kMaxInt8HeadDim, shape.head_dim);
    try {
      return std::make_unique<PackedKv>(shape, n_pages, ops_.kv_form());
    } catch (const std::bad_alloc&) {
      return Err("KV cache: expected memory for {} tokens, found none", n_pages * kPageTokens);
    }
  }

  void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) override {
    auto& packed = static_cast<PackedKv&>(kv);
    std::copy(packed.K(from, 0, 0), packed.K(from + 1, 0, 0), packed.K(to, 0, 0));
  }

  void BeginStep(const Step& step) override { ops_.set_step(step); }
  void EndStep() override { ops_.set_step({}); }

  std::vector<int64_t> PlanRows(int64_t most) const override { return {most}; }
  std::unique_ptr<Plan> Capture(const PlanLimits& limits, const KvShape& kv,
                                const std::function<void()>& forward) override {
    std::vector<Op> recorded;
    recorded_ = &recorded;
    forward();
    recorded_ = nullptr;
    return std::make_unique<cpu::CpuPlan>(recorded, limits, kv, ops_, team_);
  }

  void Replay(Plan& plan) override { static_cast<cpu::CpuPlan&>(plan).Run(); }

  void Run(const Op& op) override {
    if (recorded_ != nullptr) return recorded_->push_back(op);
    switch (op.kind) {
      case OpKind::kMatMul:
        return MultiplyNow(op.x, static_cast<const PackedMatrix&>(*op.matrix), op.out);
      case OpKind::kStoreKv:
        return StoreNow(op.layer, op.x, op.y);
      case OpKind::kAttention:
        return AttendNow(op);
      default:
        break;
    }
    const Tensor written = op.written();
    ForRows(written.rows, written.cols, [&](int64_t row) { ops_.RunRow(op, row); });
  }

 private:
  void MultiplyNow(const Tensor& x, const PackedMatrix& matrix, const Tensor& out) {
    const int64_t units = matrix.InputUnits();
    cpu::Grow(&input_, x.rows * units);
    ForRows(x.rows, x.cols, [&](int64_t row) {
      ops_.PrepareRow(x.data + row * x.stride, matrix, input_.data() + row * units);
    });
    team_.Run([&](int thread) {
      ops_.Panels(matrix, {input_.data(), units}, x.rows,
                  cpu::Share(matrix.panels(), thread, team_.size()), false, out,
                  &unpacked_[static_cast<size_t>(thread)]);
    });
  }

  // Splits the work by K/V head, not by row: two positions share a 32-bit lane of V.
  void StoreNow(int64_t layer, const Tensor& k, const Tensor& v) {
    const KvShape& shape = ops_.step().kv->shape;
    for (const SequenceRows& sequence : ops_.step().sequences)
      ForRows(shape.n_kv_heads, sequence.n_rows * shape.head_dim,
              [&](int64_t head) { ops_.StoreHeads(layer, sequence, {head, head + 1}, k, v); });
  }

  void AttendNow(const Op& op) {
    const KvShape& shape = ops_.step().kv->shape;
    const int64_t group = op.x.cols / shape.head_dim / shape.n_kv_heads;
    ops_.ListItems(group, Ops::AttentionTokens(group), team_.size(), &items_);
    std::atomic<size_t> next = 0;
    team_.Run([&](int thread) {
      for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < items_.size();)
        ops_.Attend(op.layer, items_[i], op.x, op.value, op.out,
                    &scratch_[static_cast<size_t>(thread)]);
    });
  }

  // Calls row(i) for each of n rows of `cols` elements, on all threads if that is faster.
  template <class Row>
  void ForRows(int64_t n, int64_t cols, const Row& row) {
    if (n == 1 || n * cols <= kSerialElements) {
      for (int64_t i = 0; i < n; ++i) row(i);
    } else {
      team_.ForRanges(n, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) row(i);
      });
    }
  }

  Ops ops_;
  ThreadTeam team_;
  WeightStorage storage_;  // kAuto until a matrix is large enough to measure
  WeightForm form_;
  cpu::Packer packer_;
  std::vector<Op>* recorded_ = nullptr;
  std::vector<cpu::AttentionScratch> scratch_;  // one per thread
  std::vector<AttentionItem> items_;
  std::vector<std::unique_ptr<PackedMatrix>> matrices_;
  std::vector<PageArray<uint32_t>> unpacked_;  // one per thread: a panel in plain form
  PageArray<uint32_t> input_;                  // the prepared rows of a product
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace merope

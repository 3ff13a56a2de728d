// The fast back end: runs each op as it comes, split among the thread team (never within an output
// element), or records it for a plan.
#include <algorithm>
#include <atomic>
#include <deque>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/choose_form.h"
#include "backend/cpu/ops.h"
#include "backend/cpu/packed.h"
#include "backend/cpu/packer.h"
#include "backend/cpu/plan.h"
#include "backend/weights.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope {
namespace {

using cpu::AttentionItem;
using cpu::Op;
using cpu::Ops;
using cpu::PackedKv;
using cpu::PackedMatrix;
using cpu::WeightForm;

// Elements below which an op on rows is done by the calling thread: a join costs more than it would
// save.
constexpr int64_t kSerialElements = 32768;

WeightForm FormOf(const CpuOptions& options) {
  switch (options.precision) {
    case Precision::kFp32:
      return WeightForm::kFp32;
    case Precision::kInt8:
      return WeightForm::kInt8;
    case Precision::kInt4:
      return WeightForm::kInt4;
    case Precision::kBf16:
    case Precision::kStored:  // matrices that are not quantized
      break;
  }
  // kAuto starts packed, and asks the first matrix that is large enough.
  return options.weights == WeightStorage::kPlain ? WeightForm::kBf16 : WeightForm::kPackedBf16;
}

cpu::KvForm FormOfKv(const CpuOptions& options) {
  if (options.kv == KvStorage::kInt8) return cpu::KvForm::kInt8;
  return options.precision == Precision::kFp32 ? cpu::KvForm::kFp32 : cpu::KvForm::kBf16;
}

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
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
                                                                : 2 * (d + 4);  // and a scale
    return shape.n_layers * shape.n_kv_heads * head;
  }

  Tensor Allocate(int64_t rows, int64_t cols) override {
    return {tensors_.emplace_back(rows * cols).data(), rows, cols, cols};
  }

  void CopyOut(const Tensor& from, std::span<float> to) override {
    for (int64_t row = 0; row < from.rows; ++row)
      std::copy_n(from.data + row * from.stride, from.cols, to.data() + row * from.cols);
  }

  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking stacking,
      const std::function<void(const TensorView&)>& consumed) override {
    const bool stored = precision() == Precision::kStored && AllQuantized(parts);
    TRY_ASSIGN(auto matrix, packer_.Pack(parts, stacking, stored ? WeightForm::kStored : form_));
    if (!stored && storage_ == WeightStorage::kAuto && form_ == WeightForm::kPackedBf16 &&
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

  Result<Tensor> LoadVector(const TensorView& vector) override {
    TRY_ASSIGN(const std::vector<float> values, DecodeVector(vector));
    const Tensor tensor = Allocate(1, static_cast<int64_t>(values.size()));
    std::copy(values.begin(), values.end(), tensor.data);
    return tensor;
  }

  WeightSummary weights() const override {
    WeightSummary summary;
    int64_t steps = 0, raw = 0;
    for (const auto& matrix : matrices_) {
      summary.packed |= matrix->form == WeightForm::kPackedBf16;
      summary.bytes += matrix->bytes;
      summary.plain_bytes += matrix->integer() || matrix->form == WeightForm::kStored
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
    return std::make_unique<PackedKv>(shape, n_pages, ops_.kv_form());
  }

  void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) override {
    auto& packed = static_cast<PackedKv&>(kv);
    std::copy(packed.K(from, 0, 0), packed.K(from + 1, 0, 0), packed.K(to, 0, 0));
  }

  void BeginStep(const Step& step) override { ops_.set_step(step); }
  void EndStep() override { ops_.set_step({}); }

  std::unique_ptr<Plan> Capture(const PlanLimits& limits, const KvShape& kv,
                                const std::function<void()>& forward) override {
    std::vector<Op> recorded;
    recorded_ = &recorded;
    forward();
    recorded_ = nullptr;
    return std::make_unique<cpu::CpuPlan>(recorded, limits, kv, ops_, team_);
  }

  void Replay(Plan& plan) override { static_cast<cpu::CpuPlan&>(plan).Run(); }

  void Embed(const Matrix& table, const Tensor& out) override {
    const auto& packed = static_cast<const PackedMatrix&>(table);
    if (Record({.kind = Op::Kind::kEmbed, .out = out, .matrix = &packed})) return;
    ForRows(out.rows, out.cols, [&](int64_t row) { ops_.EmbedRow(packed, row, out); });
  }

  void RmsNorm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override {
    if (Record({.kind = Op::Kind::kRmsNorm, .x = x, .y = weight, .out = out, .value = eps})) return;
    ForRows(x.rows, x.cols, [&](int64_t row) {
      ops_.NormRow(x.data + row * x.stride, weight, eps, out.data + row * out.stride);
    });
  }

  void MatMul(const Tensor& x, const Matrix& matrix, const Tensor& out) override {
    const auto& packed = static_cast<const PackedMatrix&>(matrix);
    if (Record({.kind = Op::Kind::kMatMul, .x = x, .out = out, .matrix = &packed})) return;
    const int64_t units = packed.InputUnits();
    cpu::Grow(&input_, x.rows * units);
    ForRows(x.rows, x.cols, [&](int64_t row) {
      ops_.PrepareRow(x.data + row * x.stride, packed, input_.data() + row * units);
    });
    team_.Run([&](int thread) {
      ops_.Panels(packed, {input_.data(), units}, x.rows,
                  cpu::Share(packed.panels(), thread, team_.size()), false, out,
                  &unpacked_[static_cast<size_t>(thread)]);
    });
  }

  void Rope(const Tensor& x, int64_t head_dim) override {
    if (Record({.kind = Op::Kind::kRope, .x = x, .head_dim = head_dim})) return;
    ForRows(x.rows, x.cols, [&](int64_t row) { ops_.RopeRow(x, row, head_dim); });
  }

  void StoreKv(int64_t layer, const Tensor& k, const Tensor& v) override {
    if (Record({.kind = Op::Kind::kStoreKv, .x = k, .y = v, .layer = layer})) return;
    const KvShape& shape = ops_.step().kv->shape;
    // By K/V head, not by row: two positions share a 32-bit lane of V.
    for (const SequenceRows& sequence : ops_.step().sequences)
      ForRows(shape.n_kv_heads, sequence.n_rows * shape.head_dim,
              [&](int64_t head) { ops_.StoreHeads(layer, sequence, {head, head + 1}, k, v); });
  }

  void Hadamard(const Tensor& x, int64_t block, const Tensor& signs, bool inverse) override {
    if (Record(
            {.kind = Op::Kind::kHadamard, .x = x, .y = signs, .block = block, .inverse = inverse}))
      return;
    ForRows(x.rows, x.cols, [&](int64_t row) {
      ops_.HadamardRow(x.data + row * x.stride, x.cols, block, signs, inverse);
    });
  }

  void Attention(int64_t layer, const Tensor& q, float scale, const Tensor& out) override {
    if (Record({.kind = Op::Kind::kAttention, .x = q, .out = out, .layer = layer, .value = scale}))
      return;
    const KvShape& shape = ops_.step().kv->shape;
    const int64_t group = q.cols / shape.head_dim / shape.n_kv_heads;
    ops_.ListItems(group, Ops::AttentionTokens(group), team_.size(), &items_);
    std::atomic<size_t> next = 0;
    team_.Run([&](int thread) {
      for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < items_.size();)
        ops_.Attend(layer, items_[i], q, scale, out, &scratch_[static_cast<size_t>(thread)]);
    });
  }

  void SwiGlu(const Tensor& gate_up, const Tensor& out) override {
    if (Record({.kind = Op::Kind::kSwiGlu, .x = gate_up, .out = out})) return;
    ForRows(out.rows, out.cols, [&](int64_t row) {
      const float* gate = gate_up.data + row * gate_up.stride;
      ops_.SwiGluRow(gate, gate + out.cols, out.cols, out.data + row * out.stride);
    });
  }

  void Add(const Tensor& x, const Tensor& y) override {
    if (Record({.kind = Op::Kind::kAdd, .x = x, .y = y})) return;
    ForRows(x.rows, x.cols, [&](int64_t row) {
      ops_.AddRow(x.data + row * x.stride, y.data + row * y.stride, x.cols);
    });
  }

  void GatherRows(const Tensor& x, const Tensor& out) override {
    if (Record({.kind = Op::Kind::kGatherRows, .x = x, .out = out})) return;
    const std::span<const int32_t> rows = ops_.step().logit_rows;
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(x.data + rows[i] * x.stride, x.cols,
                  out.data + static_cast<int64_t>(i) * out.stride);
  }

 private:
  // True while a plan is captured: the op is not to run now.
  bool Record(const Op& op) {
    if (recorded_ == nullptr) return false;
    recorded_->push_back(op);
    return true;
  }

  // row(i) for each of n rows of `cols` elements, on all threads where that pays.
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
  WeightStorage storage_;  // kAuto until a matrix is large enough to tell
  WeightForm form_;
  cpu::Packer packer_;
  std::vector<Op>* recorded_ = nullptr;
  std::vector<cpu::AttentionScratch> scratch_;  // one a thread
  std::vector<AttentionItem> items_;
  std::deque<PageArray<float>> tensors_;
  std::vector<std::unique_ptr<PackedMatrix>> matrices_;
  std::vector<PageArray<uint32_t>> unpacked_;  // one a thread: a panel in its plain form
  PageArray<uint32_t> input_;                  // a product's prepared rows
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend(const CpuOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace merope

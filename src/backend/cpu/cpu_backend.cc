// The fast back end. Splits each op among the thread team (never within an output element) and
// calls the kernels.
#include <algorithm>
#include <atomic>
#include <deque>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/packed.h"
#include "backend/weights.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope {
namespace {

using cpu::PackedKv;
using cpu::PackedMatrix;

// Elements below which an op on rows is done by the calling thread: a join costs more than it would
// save.
constexpr int64_t kSerialElements = 32768;
// Rows of an attention tile: query rows that share one reading of K and V.
constexpr int64_t kAttentionRows = 24;

// The queries of one K/V head for a few consecutive tokens of a sequence.
struct AttentionItem {
  const SequenceRows* sequence;
  int64_t first_token, n_tokens, kv_head;
};

// What one thread needs for an attention item.
struct AttentionScratch {
  std::vector<const void*> k_pages, v_pages;
  PageArray<float> scores, sums;
  PageArray<uint32_t> weights, q;
  std::vector<int64_t> lengths;
  std::vector<float*> out;
};

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options)
      : precision_(options.precision),
        team_(options.threads > 0 ? options.threads : DefaultThreads()),
        scratch_(static_cast<size_t>(team_.size())) {}

  std::string name() const override {
    return fmt::format("cpu ({}, {} thread{})", elementwise_.target, team_.size(),
                       team_.size() == 1 ? "" : "s");
  }
  Precision precision() const override { return precision_; }
  int64_t KvElementBytes() const override { return precision_ == Precision::kBf16 ? 2 : 4; }

  Tensor Allocate(int64_t rows, int64_t cols) override {
    return {tensors_.emplace_back(rows * cols).data(), rows, cols, cols};
  }

  void CopyOut(const Tensor& from, std::span<float> to) override {
    for (int64_t row = 0; row < from.rows; ++row)
      std::copy_n(from.data + row * from.stride, from.cols, to.data() + row * from.cols);
  }

  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts,
      const std::function<void(const TensorView&)>& consumed) override {
    TRY_ASSIGN(auto matrix, cpu::Pack(parts, precision_, matmul_.panel, team_));
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

  Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) override {
    return std::make_unique<PackedKv>(shape, n_pages, precision_);
  }

  void BeginStep(const Step& step) override { step_ = step; }
  void EndStep() override { step_ = {}; }

  void Embed(const Matrix& table, const Tensor& out) override {
    const auto& packed = static_cast<const PackedMatrix&>(table);
    ForRows(out.rows, out.cols, [&](int64_t row) {
      packed.UnpackRow(step_.tokens[static_cast<size_t>(row)], out.data + row * out.stride);
    });
  }

  void RmsNorm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override {
    ForRows(x.rows, x.cols, [&](int64_t row) {
      elementwise_.rms_norm(x.data + row * x.stride, weight.data, eps, x.cols,
                            out.data + row * out.stride);
    });
  }

  void MatMul(const Tensor& x, const Matrix& matrix, const Tensor& out) override {
    const auto& packed = static_cast<const PackedMatrix&>(matrix);
    const bool bf16 = precision_ == Precision::kBf16;
    cpu::MatMulArgs args{.panels = packed.units.data(),
                         .x = x.data,
                         .x_stride = x.stride,
                         .m = x.rows,
                         .k_steps = packed.k_steps,
                         .n = packed.out_features,
                         .bias = packed.bias.empty() ? nullptr : packed.bias.data(),
                         .out = out.data,
                         .out_stride = out.stride,
                         .panel_begin = 0,
                         .panel_end = 0};
    if (bf16) {
      Grow(&rounded_, x.rows * packed.k_steps);
      ForRows(x.rows, x.cols, [&](int64_t row) {
        elementwise_.to_bf16(x.data + row * x.stride, x.cols,
                             rounded_.data() + row * packed.k_steps);
      });
      args.x = rounded_.data();
      args.x_stride = packed.k_steps;
    }
    team_.ForRanges(packed.panels(), [&](int64_t begin, int64_t end) {
      cpu::MatMulArgs part = args;
      part.panel_begin = begin;
      part.panel_end = end;
      (bf16 ? matmul_.bf16 : matmul_.fp32)(part);
    });
  }

  void Rope(const Tensor& x, int64_t head_dim) override {
    const int64_t half = head_dim / 2;
    ForRows(x.rows, x.cols, [&](int64_t row) {
      for (int64_t at = 0; at < x.cols; at += head_dim)
        elementwise_.rope(x.data + row * x.stride + at, step_.rope_cos.data() + row * half,
                          step_.rope_sin.data() + row * half, half);
    });
  }

  void StoreKv(int64_t layer, const Tensor& k, const Tensor& v) override {
    auto& kv = static_cast<PackedKv&>(*step_.kv);
    const int64_t d = kv.shape.head_dim;
    for (const SequenceRows& sequence : step_.sequences)
      // By K/V head, not by row: two positions share a 32-bit lane of V.
      ForRows(kv.shape.n_kv_heads, sequence.n_rows * d, [&](int64_t head) {
        for (int64_t i = 0; i < sequence.n_rows; ++i) {
          const int64_t position = sequence.context + i, row = sequence.first_row + i;
          kv.Store(sequence.pages[static_cast<size_t>(position / kPageTokens)], layer, head,
                   position % kPageTokens, k.data + row * k.stride + head * d,
                   v.data + row * v.stride + head * d);
        }
      });
  }

  void Attention(int64_t layer, const Tensor& q, float scale, const Tensor& out) override {
    const auto& kv = static_cast<PackedKv&>(*step_.kv);
    const int64_t group = q.cols / kv.shape.head_dim / kv.shape.n_kv_heads;
    const int64_t tile = std::max(int64_t{1}, kAttentionRows / group);
    items_.clear();
    for (const SequenceRows& sequence : step_.sequences)
      for (int64_t first = 0; first < sequence.n_rows; first += tile)
        for (int64_t head = 0; head < kv.shape.n_kv_heads; ++head)
          items_.push_back({&sequence, first, std::min(tile, sequence.n_rows - first), head});
    std::atomic<size_t> next = 0;
    team_.Run([&](int thread) {
      for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < items_.size();)
        Attend(layer, items_[i], q, scale, out, &scratch_[static_cast<size_t>(thread)]);
    });
  }

  void SwiGlu(const Tensor& gate_up, const Tensor& out) override {
    ForRows(out.rows, out.cols, [&](int64_t row) {
      const float* gate = gate_up.data + row * gate_up.stride;
      elementwise_.swiglu(gate, gate + out.cols, out.cols, out.data + row * out.stride);
    });
  }

  void Add(const Tensor& x, const Tensor& y) override {
    ForRows(x.rows, x.cols, [&](int64_t row) {
      elementwise_.add(x.data + row * x.stride, y.data + row * y.stride, x.cols);
    });
  }

  void GatherRows(const Tensor& x, const Tensor& out) override {
    for (size_t i = 0; i < step_.logit_rows.size(); ++i)
      std::copy_n(x.data + step_.logit_rows[i] * x.stride, x.cols,
                  out.data + static_cast<int64_t>(i) * out.stride);
  }

 private:
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

  template <class T>
  static void Grow(PageArray<T>* array, int64_t size) {
    if (array->size() < size) *array = PageArray<T>(std::max(size, 2 * array->size()));
  }

  void Attend(int64_t layer, const AttentionItem& item, const Tensor& q, float scale,
              const Tensor& out, AttentionScratch* scratch) {
    auto& kv = static_cast<PackedKv&>(*step_.kv);
    const bool bf16 = precision_ == Precision::kBf16;
    const int64_t d = kv.shape.head_dim, group = q.cols / d / kv.shape.n_kv_heads;
    const int64_t rows = item.n_tokens * group, units = bf16 ? d / 2 : d;
    const int64_t first_position = item.sequence->context + item.first_token;
    const int64_t n_pages = (first_position + item.n_tokens + kPageTokens - 1) / kPageTokens;

    scratch->k_pages.clear();
    scratch->v_pages.clear();
    for (int64_t i = 0; i < n_pages; ++i) {
      const int64_t page = item.sequence->pages[static_cast<size_t>(i)];
      scratch->k_pages.push_back(kv.K(page, layer, item.kv_head));
      scratch->v_pages.push_back(kv.V(page, layer, item.kv_head));
    }
    Grow(&scratch->q, rows * units);
    Grow(&scratch->scores, rows * n_pages * kPageTokens);
    Grow(&scratch->sums, cpu::SumsSize(rows, kv.padded_dim));
    if (bf16) Grow(&scratch->weights, rows * n_pages * kPageTokens / 2);
    scratch->lengths.clear();
    scratch->out.clear();
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t token = item.first_token + r / group, head = item.kv_head * group + r % group;
      const int64_t row = item.sequence->first_row + token;
      const float* from = q.data + row * q.stride + head * d;
      if (bf16) {
        elementwise_.to_bf16(from, d, scratch->q.data() + r * units);
      } else {
        std::copy_n(from, d, reinterpret_cast<float*>(scratch->q.data()) + r * units);
      }
      scratch->lengths.push_back(item.sequence->context + token + 1);
      scratch->out.push_back(out.data + row * out.stride + head * d);
    }
    (bf16 ? attention_.bf16 : attention_.fp32)({.k_pages = scratch->k_pages.data(),
                                                .v_pages = scratch->v_pages.data(),
                                                .q = scratch->q.data(),
                                                .rows = rows,
                                                .head_dim = d,
                                                .padded_dim = kv.padded_dim,
                                                .lengths = scratch->lengths.data(),
                                                .scale = scale,
                                                .scores = scratch->scores.data(),
                                                .sums = scratch->sums.data(),
                                                .weights = scratch->weights.data(),
                                                .out = scratch->out.data()});
  }

  const cpu::MatMulKernels& matmul_ = cpu::GetMatMulKernels();
  const cpu::AttentionKernels& attention_ = cpu::GetAttentionKernels();
  const cpu::ElementwiseKernels& elementwise_ = cpu::GetElementwiseKernels();
  Precision precision_;
  ThreadTeam team_;
  std::vector<AttentionScratch> scratch_;  // one a thread
  std::vector<AttentionItem> items_;
  std::deque<PageArray<float>> tensors_;
  std::vector<std::unique_ptr<PackedMatrix>> matrices_;
  PageArray<uint32_t> rounded_;  // a product's input in bf16
  Step step_;
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend(const CpuOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace merope

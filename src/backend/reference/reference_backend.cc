// The oracle: each op as its textbook says it, in plain loops, with every sum in double. With
// Precision::kBf16 the inputs of each matrix product are rounded exactly where the fast back ends
// round them; with integers, they are the same integers.
#include <algorithm>
#include <bit>
#include <cmath>
#include <deque>
#include <numeric>
#include <vector>

#include "backend/backend.h"
#include "backend/integer.h"
#include "backend/weights.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope {
namespace {

struct DenseMatrix : Matrix {
  std::vector<float> weight;  // (out_features, in_features), rounded to the precision
  std::vector<float> bias;    // (out_features) or empty
  int64_t x_group = 0;        // inputs are integers with a scale for so many; 0: they are floats
  const float* Row(int64_t row) const { return weight.data() + row * in_features; }
};

struct DenseKv : KvMemory {
  PageArray<float> values;  // (pages, layers, kv_heads, K and V, kPageTokens, head_dim), rounded to
                            // the precision
  float* At(int64_t page, int64_t layer, int64_t head, int64_t k_or_v, int64_t slot) {
    const int64_t row =
        (((page * shape.n_layers + layer) * shape.n_kv_heads + head) * 2 + k_or_v) * kPageTokens +
        slot;
    return values.data() + row * shape.head_dim;
  }
};

// Σ a·b in double. Eight partial sums, so that the compiler may use vectors; their order is fixed.
double Dot(const float* a, const float* b, int64_t n) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += double{a[i + j]} * double{b[i + j]};
  for (; i < n; ++i) sums[i % 8] += double{a[i]} * double{b[i]};
  return std::accumulate(sums, sums + 8, 0.0);
}

class ReferenceBackend : public Backend {
 public:
  explicit ReferenceBackend(const CpuOptions& options)
      : precision_(options.precision),
        int8_kv_(options.kv == KvStorage::kInt8),
        team_(options.threads > 0 ? options.threads : DefaultThreads()) {}

  std::string name() const override { return fmt::format("reference ({} threads)", team_.size()); }
  Precision precision() const override { return precision_; }
  int64_t KvTokenBytes(const KvShape& shape) const override {
    return shape.PageElements() / kPageTokens * static_cast<int64_t>(sizeof(float));
  }

  Tensor Allocate(int64_t rows, int64_t cols) override {
    return {tensors_.emplace_back(rows * cols).data(), rows, cols, cols};
  }

  void CopyOut(const Tensor& from, std::span<float> to) override {
    for (int64_t row = 0; row < from.rows; ++row)
      std::copy_n(from.data + row * from.stride, from.cols, to.data() + row * from.cols);
  }

  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking,
      const std::function<void(const TensorView&)>& consumed) override {
    auto matrix = std::make_unique<DenseMatrix>();
    TRY_ASSIGN(matrix->out_features, StackedRows(parts));
    matrix->in_features = parts[0].weight->cols();
    const bool exact = IsInteger(precision_) && AllOf(parts, IntegerType(precision_));
    const bool stored = precision_ == Precision::kStored && AllQuantized(parts);
    if (IsInteger(precision_)) {
      const int64_t x_group = FormatOf(precision_).x_group;
      matrix->x_group = x_group > 0 ? x_group : matrix->in_features;
    }
    if (stored) matrix->x_group = kStoredGroup;
    TRY_ASSIGN(matrix->bias, StackedBias(parts));
    matrix->weight.resize(static_cast<size_t>(matrix->out_features * matrix->in_features));
    matrix->bytes = static_cast<int64_t>(matrix->weight.size() * sizeof(float));
    for (int64_t row = 0; row < matrix->out_features; ++row) {
      const std::span out(matrix->weight.data() + row * matrix->in_features,
                          static_cast<size_t>(matrix->in_features));
      TRY(DecodeStackedRow(parts, row, out));
      if (!stored && !exact) RoundWeights(out);
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
    for (const auto& matrix : matrices_) summary.bytes += matrix->bytes;
    summary.plain_bytes = summary.bytes;
    return summary;
  }

  Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) override {
    auto kv = std::make_unique<DenseKv>();
    kv->shape = shape;
    kv->n_pages = n_pages;
    kv->values = PageArray<float>(n_pages * shape.PageElements());
    return kv;
  }

  void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) override {
    auto& dense = static_cast<DenseKv&>(kv);
    std::copy_n(dense.At(from, 0, 0, 0, 0), dense.shape.PageElements(), dense.At(to, 0, 0, 0, 0));
  }

  void BeginStep(const Step& step) override { step_ = step; }
  void EndStep() override { step_ = {}; }
  std::unique_ptr<Plan> Capture(const PlanLimits&, const KvShape&,
                                const std::function<void()>&) override {
    return nullptr;
  }
  void Replay(Plan&) override { CHECK(false, "this back end has no plans"); }

  void Embed(const Matrix& table, const Tensor& out) override {
    const auto& dense = static_cast<const DenseMatrix&>(table);
    for (size_t i = 0; i < step_.tokens.size(); ++i)
      std::copy_n(dense.Row(step_.tokens[i]), out.cols,
                  out.data + static_cast<int64_t>(i) * out.stride);
  }

  void RmsNorm(const Tensor& x, const Tensor& weight, float eps, const Tensor& out) override {
    for (int64_t row = 0; row < x.rows; ++row) {
      const float* in = x.data + row * x.stride;
      const double mean_square = Dot(in, in, x.cols) / static_cast<double>(x.cols);
      const double scale = 1 / std::sqrt(mean_square + double{eps});
      for (int64_t i = 0; i < x.cols; ++i)
        out.data[row * out.stride + i] = static_cast<float>(in[i] * scale * weight.data[i]);
    }
  }

  void MatMul(const Tensor& x, const Matrix& matrix, const Tensor& out) override {
    const auto& dense = static_cast<const DenseMatrix&>(matrix);
    const std::vector<float> rounded =
        dense.x_group > 0 ? QuantizedRows(x, dense.x_group) : RoundedRows(x);
    team_.ForRanges(dense.out_features, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j)
        for (int64_t row = 0; row < x.rows; ++row) {
          const double sum = Dot(rounded.data() + row * x.cols, dense.Row(j), x.cols);
          out.data[row * out.stride + j] = static_cast<float>(
              dense.bias.empty() ? sum : sum + dense.bias[static_cast<size_t>(j)]);
        }
    });
  }

  void Rope(const Tensor& x, int64_t head_dim) override {
    const int64_t half = head_dim / 2;
    for (int64_t row = 0; row < x.rows; ++row)
      for (int64_t head = 0; head < x.cols / head_dim; ++head) {
        float* values = x.data + row * x.stride + head * head_dim;
        for (int64_t i = 0; i < half; ++i) {
          const double cos = step_.rope_cos[static_cast<size_t>(row * half + i)];
          const double sin = step_.rope_sin[static_cast<size_t>(row * half + i)];
          const double a = values[i], b = values[i + half];
          values[i] = static_cast<float>(a * cos - b * sin);
          values[i + half] = static_cast<float>(b * cos + a * sin);
        }
      }
  }

  void StoreKv(int64_t layer, const Tensor& k, const Tensor& v) override {
    auto& kv = static_cast<DenseKv&>(*step_.kv);
    const int64_t d = kv.shape.head_dim;
    for (const SequenceRows& sequence : step_.sequences)
      for (int64_t i = 0; i < sequence.n_rows; ++i) {
        const int64_t position = sequence.context + i, row = sequence.first_row + i;
        const int64_t page = sequence.pages[static_cast<size_t>(position / kPageTokens)];
        for (int64_t head = 0; head < kv.shape.n_kv_heads; ++head) {
          const auto store = [&](const Tensor& from, int64_t k_or_v) {
            RoundHead(from.data + row * from.stride + head * d, d,
                      kv.At(page, layer, head, k_or_v, position % kPageTokens));
          };
          store(k, 0);
          store(v, 1);
        }
      }
  }

  void Attention(int64_t layer, const Tensor& q, float scale, const Tensor& out) override {
    std::vector<float> rounded_q(static_cast<size_t>(q.rows * q.cols));
    const int64_t d = step_.kv->shape.head_dim;
    for (int64_t row = 0; row < q.rows; ++row)
      for (int64_t at = 0; at < q.cols; at += d)
        RoundHead(q.data + row * q.stride + at, d, rounded_q.data() + row * q.cols + at);
    for (const SequenceRows& sequence : step_.sequences)
      team_.ForRanges(sequence.n_rows, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          AttendRow(layer, sequence, i, rounded_q.data() + (sequence.first_row + i) * q.cols,
                    q.cols, scale, out.data + (sequence.first_row + i) * out.stride);
      });
  }

  void Hadamard(const Tensor& x, int64_t block, const Tensor& signs, bool inverse) override {
    std::vector<double> values(static_cast<size_t>(block));
    for (int64_t row = 0; row < x.rows; ++row)
      for (int64_t begin = 0; begin < x.cols; begin += block) {
        float* at = x.data + row * x.stride + begin;
        const auto sign = [&](int64_t i) {
          return signs.data == nullptr ? 1.0 : double{signs.data[begin + i]};
        };
        for (int64_t i = 0; i < block; ++i) {
          double sum = 0;  // entry (i, j) of the matrix: −1 for each bit that both have, in turn
          for (int64_t j = 0; j < block; ++j) {
            const double value = inverse ? at[j] : at[j] * sign(j);
            sum += std::popcount(static_cast<uint64_t>(i & j)) % 2 == 0 ? value : -value;
          }
          values[static_cast<size_t>(i)] = sum / std::sqrt(static_cast<double>(block));
        }
        for (int64_t i = 0; i < block; ++i)
          at[i] = static_cast<float>(inverse ? values[static_cast<size_t>(i)] * sign(i)
                                             : values[static_cast<size_t>(i)]);
      }
  }

  void SwiGlu(const Tensor& gate_up, const Tensor& out) override {
    for (int64_t row = 0; row < out.rows; ++row)
      for (int64_t i = 0; i < out.cols; ++i) {
        const double gate = gate_up.data[row * gate_up.stride + i];
        const double up = gate_up.data[row * gate_up.stride + out.cols + i];
        out.data[row * out.stride + i] = static_cast<float>(gate / (1 + std::exp(-gate)) * up);
      }
  }

  void Add(const Tensor& x, const Tensor& y) override {
    for (int64_t row = 0; row < x.rows; ++row)
      for (int64_t i = 0; i < x.cols; ++i) x.data[row * x.stride + i] += y.data[row * y.stride + i];
  }

  void GatherRows(const Tensor& x, const Tensor& out) override {
    for (size_t i = 0; i < step_.logit_rows.size(); ++i)
      std::copy_n(x.data + step_.logit_rows[i] * x.stride, x.cols,
                  out.data + static_cast<int64_t>(i) * out.stride);
  }

 private:
  // A head's q, k or v as attention multiplies it.
  void RoundHead(const float* from, int64_t head_dim, float* to) const {
    if (!int8_kv_) {
      for (int64_t e = 0; e < head_dim; ++e) to[e] = Rounded(from[e]);
      return;
    }
    std::vector<int8_t> q(static_cast<size_t>(head_dim));
    const float scale = QuantizeActivations({from, q.size()}, q.data());
    for (size_t e = 0; e < q.size(); ++e) to[e] = static_cast<float>(q[e]) * scale;
  }

  // As attention's inputs are rounded, and with bf16 those of every product.
  float Rounded(float value) const {
    return precision_ == Precision::kFp32 ? value : RoundToBF16(value);
  }

  // A row of weights as the precision's products take it.
  void RoundWeights(std::span<float> row) const {
    if (!IsInteger(precision_)) {
      for (float& value : row) value = Rounded(value);
      return;
    }
    const auto size = static_cast<size_t>(FormatOf(precision_).group);
    std::vector<float> group(size);
    std::vector<uint8_t> codes(size);
    for (size_t begin = 0; begin < row.size(); begin += size) {
      const size_t n = std::min(size, row.size() - begin);
      std::ranges::fill(group, 0.0f);  // the last one may be short
      std::copy_n(row.begin() + static_cast<int64_t>(begin), n, group.begin());
      const float scale = QuantizeWeights(group, precision_, codes.data());
      for (size_t i = 0; i < n; ++i)
        row[begin + i] = static_cast<float>(IntegerValue(precision_, codes[i])) * scale;
    }
  }

  static std::vector<float> QuantizedRows(const Tensor& x, int64_t group) {
    std::vector<float> rows(static_cast<size_t>(x.rows * x.cols));
    std::vector<int8_t> q(static_cast<size_t>(group));
    for (int64_t row = 0; row < x.rows; ++row)
      for (int64_t begin = 0; begin < x.cols; begin += group) {
        const int64_t n = std::min(group, x.cols - begin);
        const std::span from(x.data + row * x.stride + begin, static_cast<size_t>(n));
        const float scale = QuantizeActivations(from, q.data());
        for (int64_t i = 0; i < n; ++i)
          rows[static_cast<size_t>(row * x.cols + begin + i)] =
              static_cast<float>(q[static_cast<size_t>(i)]) * scale;
      }
    return rows;
  }

  std::vector<float> RoundedRows(const Tensor& x) const {
    std::vector<float> rows(static_cast<size_t>(x.rows * x.cols));
    for (int64_t row = 0; row < x.rows; ++row)
      for (int64_t i = 0; i < x.cols; ++i)
        rows[static_cast<size_t>(row * x.cols + i)] = Rounded(x.data[row * x.stride + i]);
    return rows;
  }

  // One query row against positions 0 … its own. The probabilities are rounded before they are
  // normalized, and normalized by the sum of the rounded ones; those of an int8 cache, which have
  // 16 bits, are taken for exact.
  void AttendRow(int64_t layer, const SequenceRows& sequence, int64_t i, const float* q,
                 int64_t width, float scale, float* out) const {
    auto& kv = static_cast<DenseKv&>(*step_.kv);
    const int64_t d = kv.shape.head_dim, length = sequence.context + i + 1, n_heads = width / d;
    std::vector<float> p(static_cast<size_t>(length));
    std::vector<double> sum(static_cast<size_t>(d));
    const auto value = [&](int64_t t, int64_t head, int64_t k_or_v) {
      return kv.At(sequence.pages[static_cast<size_t>(t / kPageTokens)], layer, head, k_or_v,
                   t % kPageTokens);
    };
    for (int64_t head = 0; head < n_heads; ++head) {
      const int64_t kv_head = head / (n_heads / kv.shape.n_kv_heads);
      for (int64_t t = 0; t < length; ++t)
        p[static_cast<size_t>(t)] =
            static_cast<float>(Dot(q + head * d, value(t, kv_head, 0), d)) * scale;
      const double max = *std::max_element(p.begin(), p.end());
      std::fill(sum.begin(), sum.end(), 0.0);
      double total = 0;
      for (int64_t t = 0; t < length; ++t) {
        const auto exact = static_cast<float>(std::exp(p[static_cast<size_t>(t)] - max));
        const float weight = int8_kv_ ? exact : Rounded(exact);
        const float* v = value(t, kv_head, 1);
        total += weight;
        for (int64_t e = 0; e < d; ++e) sum[static_cast<size_t>(e)] += double{weight} * v[e];
      }
      for (int64_t e = 0; e < d; ++e)
        out[head * d + e] = static_cast<float>(sum[static_cast<size_t>(e)] / total);
    }
  }

  Precision precision_;
  bool int8_kv_;
  ThreadTeam team_;
  std::deque<PageArray<float>> tensors_;
  std::vector<std::unique_ptr<DenseMatrix>> matrices_;
  Step step_;
};

}  // namespace

std::unique_ptr<Backend> MakeReferenceBackend(const CpuOptions& options) {
  return std::make_unique<ReferenceBackend>(options);
}

std::string_view PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
    case Precision::kInt4:
      return "int4";
    case Precision::kStored:
      return "stored";
  }
  return "?";
}

}  // namespace merope

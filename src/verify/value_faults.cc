// Faults of arithmetic: they compute an op in another way, or change its values.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "backend/weights.h"
#include "base/dtype.h"
#include "base/threads.h"
#include "verify/fault.h"

namespace merope {
namespace {

float& At(const Tensor& t, int64_t row, int64_t col) { return t.data[row * t.stride + col]; }

// Changes each value of a tensor.
template <class Change>
void Each(const Tensor& t, Change change) {
  for (int64_t row = 0; row < t.rows; ++row)
    for (int64_t i = 0; i < t.cols; ++i) At(t, row, i) = change(At(t, row, i));
}

class NormCentred : public Fault {
 public:
  void Run(const Op& op, FaultyBackend& backend) override {
    if (op.kind != OpKind::kRmsNorm) return backend.inner().Run(op);
    const auto n = static_cast<double>(op.x.cols);
    for (int64_t row = 0; row < op.x.rows; ++row) {
      double mean = 0, squares = 0;
      for (int64_t i = 0; i < op.x.cols; ++i) mean += At(op.x, row, i) / n;
      for (int64_t i = 0; i < op.x.cols; ++i) squares += std::pow(At(op.x, row, i) - mean, 2);
      const double scale = 1 / std::sqrt(squares / n + double{op.value});
      for (int64_t i = 0; i < op.x.cols; ++i)
        At(op.out, row, i) = static_cast<float>((At(op.x, row, i) - mean) * scale * op.y.data[i]);
    }
  }
};

class GeluForSilu : public Fault {
 public:
  void Run(const Op& op, FaultyBackend& backend) override {
    if (op.kind != OpKind::kSwiGlu) return backend.inner().Run(op);
    for (int64_t row = 0; row < op.out.rows; ++row)
      for (int64_t i = 0; i < op.out.cols; ++i) {
        const double gate = At(op.x, row, i), up = At(op.x, row, op.out.cols + i);
        At(op.out, row, i) =
            static_cast<float>(gate * 0.5 * (1 + std::erf(gate / std::numbers::sqrt2)) * up);
      }
  }
};

// fp8 E4M3: 3 bits of mantissa, exponents from −6, the largest value 448.
float RoundToE4M3(float value) {
  constexpr float kLargest = 448;
  if (!std::isfinite(value) || value == 0) return value;
  int exponent = 0;
  std::frexp(value, &exponent);  // |value| in [2^(exponent − 1), 2^exponent)
  const float step = std::ldexp(1.0f, std::max(exponent - 1, -6) - 3);
  return std::clamp(std::nearbyint(value / step) * step, -kLargest, kLargest);
}

class KvFp8 : public Fault {
 public:
  void Run(const Op& op, FaultyBackend& backend) override {
    // Nothing but the cache reads k and v after this op.
    if (op.kind == OpKind::kStoreKv)
      for (const Tensor& tensor : {op.x, op.y}) Each(tensor, RoundToE4M3);
    backend.inner().Run(op);
  }
};

class TermDropped : public Fault {
 public:
  void Run(const Op& op, FaultyBackend& backend) override {
    // Nothing but this product reads the activations after this op.
    if (op.kind == OpKind::kMatMul && backend.NameOf(op.matrix).ends_with("mlp.down_proj.weight"))
      Each(op.x.Cols(op.x.cols - 1, 1), [](float) { return 0.0f; });
    backend.inner().Run(op);
  }
};

// Changes the logits.
class HeadFault : public Fault {
 public:
  explicit HeadFault(std::function<void(const Tensor& logits)> change)
      : change_(std::move(change)) {}
  void Run(const Op& op, FaultyBackend& backend) override {
    backend.inner().Run(op);
    if (op.kind == OpKind::kMatMul && !backend.NameOf(op.matrix).starts_with("model.layers."))
      change_(op.out);
  }

 private:
  std::function<void(const Tensor&)> change_;
};

void ShiftLastShard(const Tensor& logits) {
  for (int64_t row = 0; row < logits.rows; ++row) {
    float* end = logits.data + row * logits.stride + logits.cols;
    float* begin = end - std::max<int64_t>(logits.cols / 8, 2);
    std::rotate(begin, begin + 1, end);
  }
}

// Products whose sum is rounded to 11 bits after each term. Values above fp16's range stay finite.
class HalfSums : public Fault {
 public:
  explicit HalfSums(int threads) : team_(threads) {}

  Status BeforeLoad(std::span<const MatrixPart> parts, Precision precision) override {
    Copy& copy = copies_[parts[0].weight->name];
    TRY_ASSIGN(copy.out_features, StackedRows(parts));
    TRY_ASSIGN(copy.bias, StackedBias(parts));
    copy.rounded = precision != Precision::kFp32;
    const int64_t cols = parts[0].weight->cols();
    copy.weight.resize(static_cast<size_t>(copy.out_features * cols));
    for (int64_t row = 0; row < copy.out_features; ++row) {
      const std::span out(copy.weight.data() + row * cols, static_cast<size_t>(cols));
      TRY(DecodeStackedRow(parts, row, out));
      if (copy.rounded)
        for (float& value : out) value = RoundToBF16(value);
    }
    return {};
  }

  void Run(const Op& op, FaultyBackend& backend) override {
    if (op.kind != OpKind::kMatMul) return backend.inner().Run(op);
    const Copy& copy = copies_.at(std::string(backend.NameOf(op.matrix)));
    for (int64_t row = 0; row < op.x.rows; row += kRows)
      Multiply(copy, op.x.Rows(row, std::min(kRows, op.x.rows - row)),
               op.out.Rows(row, std::min(kRows, op.x.rows - row)));
  }

 private:
  struct Copy {
    std::vector<float> weight, bias;  // (out_features, in_features), (out_features) or empty
    int64_t out_features = 0;
    bool rounded = false;  // the inputs are rounded to bf16
  };
  // The rows that are multiplied together; a constant number lets the compiler use vectors.
  static constexpr int64_t kRows = 32;

  void Multiply(const Copy& copy, const Tensor& x, const Tensor& out) {
    const int64_t n = x.cols;
    std::vector<float> inputs(static_cast<size_t>(n * kRows));  // (n, kRows)
    for (int64_t row = 0; row < x.rows; ++row)
      for (int64_t k = 0; k < n; ++k)
        inputs[static_cast<size_t>(k * kRows + row)] =
            copy.rounded ? RoundToBF16(At(x, row, k)) : At(x, row, k);
    team_.ForRanges(copy.out_features, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        const float* weight = copy.weight.data() + j * n;
        float sums[kRows] = {};
        for (int64_t k = 0; k < n; ++k)
          for (int64_t row = 0; row < kRows; ++row) {
            const float sum = sums[row] + inputs[static_cast<size_t>(k * kRows + row)] * weight[k];
            // Veltkamp's split: the difference keeps the upper 24 − 13 bits, rounded to nearest.
            const float large = sum * 8193.0f;  // 2^13 + 1
            sums[row] = large - (large - sum);
          }
        const float bias = copy.bias.empty() ? 0.0f : copy.bias[static_cast<size_t>(j)];
        for (int64_t row = 0; row < x.rows; ++row) At(out, row, j) = sums[row] + bias;
      }
    });
  }

  std::map<std::string, Copy> copies_;
  ThreadTeam team_;
};

}  // namespace

std::unique_ptr<Fault> MakeValueFault(std::string_view key, int threads) {
  if (key == "norm-centred") return std::make_unique<NormCentred>();
  if (key == "gelu-for-silu") return std::make_unique<GeluForSilu>();
  if (key == "kv-fp8") return std::make_unique<KvFp8>();
  if (key == "sum-term-dropped") return std::make_unique<TermDropped>();
  if (key == "fp16-sums") return std::make_unique<HalfSums>(threads);
  if (key == "head-shard-shifted") return std::make_unique<HeadFault>(ShiftLastShard);
  if (key == "head-temperature")
    return std::make_unique<HeadFault>(
        [](const Tensor& logits) { Each(logits, [](float z) { return z / 1.05f; }); });
  if (key == "head-softcap")
    return std::make_unique<HeadFault>(
        [](const Tensor& logits) { Each(logits, [](float z) { return 30 * std::tanh(z / 30); }); });
  return nullptr;
}

}  // namespace merope

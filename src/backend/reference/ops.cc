#include "backend/reference/ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>
#include <tuple>
#include <utility>

#include "backend/integer.h"

namespace merope::reference {
namespace {

// Σ a·b in double. The eight partial sums let the compiler use vectors. Their order is fixed.
double Dot(const float* a, const float* b, int64_t n) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int j = 0; j < 8; ++j) sums[j] += double{a[i + j]} * double{b[i + j]};
  for (; i < n; ++i) sums[i % 8] += double{a[i]} * double{b[i]};
  return std::accumulate(sums, sums + 8, 0.0);
}

std::vector<float> QuantizedRows(const Tensor& x, int64_t group) {
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

}  // namespace

void Ops::Run(const Op& op) {
  Compute(op);
  if (rounding_ == OpRounding::kNone) return;
  const Tensor result = op.written();
  if (result.data == nullptr) return;
  for (int64_t row = 0; row < result.rows; ++row)
    for (float& value :
         std::span(result.data + row * result.stride, static_cast<size_t>(result.cols)))
      value = at_random_ ? RoundedAtRandom(value) : Rounded(value);
}

float Ops::RoundedAtRandom(float value) {
  const float nearest = Rounded(value), error = value - nearest;
  if (error == 0 || !std::isfinite(error)) return nearest;
  const float other = Neighbour(nearest, error > 0);
  const double share = double{error} / (double{other} - double{nearest});  // in (0, 1/2]
  constexpr double kScale = 0x1p-64;
  return static_cast<double>(random_()) * kScale < share ? other : nearest;
}

float Ops::Neighbour(float value, bool above) const {
  const bool half = rounding_ == OpRounding::kFp16;
  uint16_t bits = half ? F32ToF16(value) : F32ToBF16(value);
  if (value == 0) {
    bits = above ? 0x0001 : 0x8001;
  } else {
    bits = static_cast<uint16_t>(above == (value > 0) ? bits + 1 : bits - 1);
  }
  return half ? F16ToF32(bits) : BF16ToF32(bits);
}

void Ops::Compute(const Op& op) {
  const auto matrix = [&op]() -> const DenseMatrix& {
    return static_cast<const DenseMatrix&>(*op.matrix);
  };
  switch (op.kind) {
    case OpKind::kEmbed:
      return Embed(matrix(), op.out);
    case OpKind::kRmsNorm:
      return RmsNorm(op);
    case OpKind::kHeadNorm:
      return HeadNorm(op);
    case OpKind::kLayerNorm:
      return LayerNorm(op);
    case OpKind::kMatMul:
      return MatMul(op.x, matrix(), op.out);
    case OpKind::kRope:
      return Rope(op.x, op.head_dim);
    case OpKind::kStoreKv:
      return StoreKv(op.layer, op.x, op.y);
    case OpKind::kAttention:
      return Attention(op);
    case OpKind::kBidirectionalAttention:
      return BidirectionalAttention(op);
    case OpKind::kHadamard:
      return Hadamard(op);
    case OpKind::kSwiGlu:
      return SwiGlu(op.x, op.out);
    case OpKind::kGelu:
      return Gelu(op.x, op.out);
    case OpKind::kAdd:
      return Add(op.x, op.y);
    case OpKind::kGatherRows:
      return GatherRows(op.x, op.out);
  }
}

void Ops::Embed(const DenseMatrix& table, const Tensor& out) const {
  for (size_t i = 0; i < step_.tokens.size(); ++i)
    std::copy_n(table.Row(step_.tokens[i]), out.cols,
                out.data + static_cast<int64_t>(i) * out.stride);
}

void Ops::RmsNorm(const Op& op) {
  const auto& [x, weight, out] = std::tie(op.x, op.y, op.out);
  for (int64_t row = 0; row < x.rows; ++row) {
    const float* in = x.data + row * x.stride;
    const double mean_square = Dot(in, in, x.cols) / static_cast<double>(x.cols);
    const double scale = 1 / std::sqrt(mean_square + double{op.value});
    for (int64_t i = 0; i < x.cols; ++i)
      out.data[row * out.stride + i] = static_cast<float>(in[i] * scale * weight.data[i]);
  }
}

void Ops::HeadNorm(const Op& op) {
  for (int64_t begin = 0; begin < op.x.cols; begin += op.y.cols) {
    Op head = op;
    head.x = head.out = op.x.Cols(begin, op.y.cols);
    RmsNorm(head);
  }
}

void Ops::LayerNorm(const Op& op) {
  const auto& [x, weight, bias, out] = std::tie(op.x, op.y, op.z, op.out);
  const auto n = static_cast<double>(x.cols);
  for (int64_t row = 0; row < x.rows; ++row) {
    const float* in = x.data + row * x.stride;
    const double mean = std::accumulate(in, in + x.cols, 0.0) / n;
    double squares = 0;
    for (int64_t i = 0; i < x.cols; ++i) squares += (in[i] - mean) * (in[i] - mean);
    const double scale = 1 / std::sqrt(squares / n + double{op.value});
    for (int64_t i = 0; i < x.cols; ++i)
      out.data[row * out.stride + i] =
          static_cast<float>((in[i] - mean) * scale * weight.data[i] + bias.data[i]);
  }
}

void Ops::MatMul(const Tensor& x, const DenseMatrix& matrix, const Tensor& out) {
  const std::vector<float> rounded =
      matrix.x_group > 0 ? QuantizedRows(x, matrix.x_group) : RoundedRows(x);
  team_.ForRanges(matrix.out_features, [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j)
      for (int64_t row = 0; row < x.rows; ++row) {
        const double sum = Dot(rounded.data() + row * x.cols, matrix.Row(j), x.cols);
        out.data[row * out.stride + j] = static_cast<float>(
            matrix.bias.empty() ? sum : sum + matrix.bias[static_cast<size_t>(j)]);
      }
  });
}

void Ops::Rope(const Tensor& x, int64_t head_dim) const {
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t head = 0; head < x.cols / head_dim; ++head) {
      float* values = x.data + row * x.stride + head * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const double cos = Angle(step_.rope_cos[static_cast<size_t>(row * half + i)]);
        const double sin = Angle(step_.rope_sin[static_cast<size_t>(row * half + i)]);
        const double a = values[i], b = values[i + half];
        values[i] = static_cast<float>(a * cos - b * sin);
        values[i + half] = static_cast<float>(b * cos + a * sin);
      }
    }
}

void Ops::StoreKv(int64_t layer, const Tensor& k, const Tensor& v) const {
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

void Ops::Attention(const Op& op) {
  const auto& [q, out] = std::tie(op.x, op.out);
  std::vector<float> rounded_q(static_cast<size_t>(q.rows * q.cols));
  const int64_t d = step_.kv->shape.head_dim;
  for (int64_t row = 0; row < q.rows; ++row)
    for (int64_t at = 0; at < q.cols; at += d)
      RoundHead(q.data + row * q.stride + at, d, rounded_q.data() + row * q.cols + at);
  for (const SequenceRows& sequence : step_.sequences)
    team_.ForRanges(sequence.n_rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        AttendRow(static_cast<DenseKv&>(*step_.kv), op.layer, sequence.pages,
                  sequence.context + i + 1, rounded_q.data() + (sequence.first_row + i) * q.cols,
                  q.cols, op.value, out.data + (sequence.first_row + i) * out.stride);
    });
}

void Ops::Hadamard(const Op& op) {
  const auto& [x, signs] = std::tie(op.x, op.y);
  std::vector<double> values(static_cast<size_t>(op.block));
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t begin = 0; begin < x.cols; begin += op.block) {
      float* at = x.data + row * x.stride + begin;
      const auto sign = [&](int64_t i) {
        return signs.data == nullptr ? 1.0 : double{signs.data[begin + i]};
      };
      for (int64_t i = 0; i < op.block; ++i) {
        // Entry (i, j) of the matrix is −1 if i & j has an odd number of bits, else 1.
        double sum = 0;
        for (int64_t j = 0; j < op.block; ++j) {
          const double value = op.inverse ? at[j] : at[j] * sign(j);
          sum += std::popcount(static_cast<uint64_t>(i & j)) % 2 == 0 ? value : -value;
        }
        values[static_cast<size_t>(i)] = sum / std::sqrt(static_cast<double>(op.block));
      }
      for (int64_t i = 0; i < op.block; ++i)
        at[i] = static_cast<float>(op.inverse ? values[static_cast<size_t>(i)] * sign(i)
                                              : values[static_cast<size_t>(i)]);
    }
}

// Like Attention, but K and V come from the step's rows and not from the cache.
void Ops::BidirectionalAttention(const Op& op) const {
  const auto& [q, k, v, out] = std::tie(op.x, op.y, op.z, op.out);
  const int64_t head_dim = op.head_dim;
  const int64_t kv_heads = k.cols / head_dim;
  for (const SequenceRows& sequence : step_.sequences) {
    DenseKv kv;
    kv.shape = {1, kv_heads, head_dim};
    kv.n_pages = (sequence.n_rows + kPageTokens - 1) / kPageTokens;
    kv.values = PageArray<float>(kv.n_pages * kv.shape.PageElements());
    std::vector<int32_t> pages(static_cast<size_t>(kv.n_pages));
    std::iota(pages.begin(), pages.end(), 0);
    for (int64_t i = 0; i < sequence.n_rows; ++i)
      for (int64_t head = 0; head < kv_heads; ++head)
        for (const auto& [from, k_or_v] : {std::pair(&k, 0), std::pair(&v, 1)})
          RoundHead(from->data + (sequence.first_row + i) * from->stride + head * head_dim,
                    head_dim, kv.At(i / kPageTokens, 0, head, k_or_v, i % kPageTokens));
    std::vector<float> row(static_cast<size_t>(q.cols));
    for (int64_t i = 0; i < sequence.n_rows; ++i) {
      const float* from = q.data + (sequence.first_row + i) * q.stride;
      for (int64_t at = 0; at < q.cols; at += head_dim)
        RoundHead(from + at, head_dim, row.data() + at);
      AttendRow(kv, 0, pages, sequence.n_rows, row.data(), q.cols, op.value,
                out.data + (sequence.first_row + i) * out.stride);
    }
  }
}

void Ops::Gelu(const Tensor& x, const Tensor& out) {
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t i = 0; i < x.cols; ++i) {
      const double value = x.data[row * x.stride + i];
      out.data[row * out.stride + i] =
          static_cast<float>(value * 0.5 * (1 + std::erf(value / std::numbers::sqrt2)));
    }
}

void Ops::SwiGlu(const Tensor& gate_up, const Tensor& out) {
  for (int64_t row = 0; row < out.rows; ++row)
    for (int64_t i = 0; i < out.cols; ++i) {
      const double gate = gate_up.data[row * gate_up.stride + i];
      const double up = gate_up.data[row * gate_up.stride + out.cols + i];
      out.data[row * out.stride + i] = static_cast<float>(gate / (1 + std::exp(-gate)) * up);
    }
}

void Ops::Add(const Tensor& x, const Tensor& y) {
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t i = 0; i < x.cols; ++i) x.data[row * x.stride + i] += y.data[row * y.stride + i];
}

void Ops::GatherRows(const Tensor& x, const Tensor& out) const {
  for (size_t i = 0; i < step_.logit_rows.size(); ++i)
    std::copy_n(x.data + step_.logit_rows[i] * x.stride, x.cols,
                out.data + static_cast<int64_t>(i) * out.stride);
}

void Ops::RoundHead(const float* from, int64_t head_dim, float* to) const {
  if (!int8_kv_) {
    for (int64_t e = 0; e < head_dim; ++e) to[e] = Rounded(from[e]);
    return;
  }
  std::vector<int8_t> q(static_cast<size_t>(head_dim));
  const float scale = QuantizeActivations({from, q.size()}, q.data());
  for (size_t e = 0; e < q.size(); ++e) to[e] = static_cast<float>(q[e]) * scale;
}

float Ops::Rounded(float value) const {
  if (precision_ == Precision::kFp32) return value;
  return rounding_ == OpRounding::kFp16 ? F16ToF32(F32ToF16(value)) : RoundToBF16(value);
}

void Ops::RoundWeights(std::span<float> row) const {
  if (!IsInteger(precision_)) {
    for (float& value : row) value = Rounded(value);
    return;
  }
  const auto size = static_cast<size_t>(FormatOf(precision_).group);
  std::vector<float> group(size);
  std::vector<uint8_t> codes(size);
  for (size_t begin = 0; begin < row.size(); begin += size) {
    const size_t n = std::min(size, row.size() - begin);
    std::ranges::fill(group, 0.0f);  // the last group may be short
    std::copy_n(row.begin() + static_cast<int64_t>(begin), n, group.begin());
    const float scale = QuantizeWeights(group, precision_, codes.data());
    for (size_t i = 0; i < n; ++i)
      row[begin + i] = static_cast<float>(IntegerValue(precision_, codes[i])) * scale;
  }
}

std::vector<float> Ops::RoundedRows(const Tensor& x) const {
  std::vector<float> rows(static_cast<size_t>(x.rows * x.cols));
  for (int64_t row = 0; row < x.rows; ++row)
    for (int64_t i = 0; i < x.cols; ++i)
      rows[static_cast<size_t>(row * x.cols + i)] = Rounded(x.data[row * x.stride + i]);
  return rows;
}

void Ops::AttendRow(DenseKv& kv, int64_t layer, std::span<const int32_t> pages, int64_t length,
                    const float* q, int64_t width, float scale, float* out) const {
  const int64_t d = kv.shape.head_dim, n_heads = width / d;
  std::vector<float> p(static_cast<size_t>(length));
  std::vector<double> sum(static_cast<size_t>(d));
  const auto value = [&](int64_t t, int64_t head, int64_t k_or_v) {
    return kv.At(pages[static_cast<size_t>(t / kPageTokens)], layer, head, k_or_v, t % kPageTokens);
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

}  // namespace merope::reference

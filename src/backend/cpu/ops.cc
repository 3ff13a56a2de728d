#include "backend/cpu/ops.h"

#include <algorithm>

#include "backend/integer.h"

namespace merope::cpu {
namespace {

// Rows of an attention tile: query rows that share one read of K and V.
constexpr int64_t kAttentionRows = 24;
// The maximum number of units of a quantized row of one head.
constexpr int64_t kMaxInt8KvUnits = kMaxInt8HeadDim / 4 + 2;

// The kernels are compiled for the group sizes of integer.h.
static_assert(kInt8Group == kInt8Format.group && kInt4Group == kInt4Format.group);

int64_t PagesFor(int64_t positions) { return (positions + kPageTokens - 1) / kPageTokens; }

}  // namespace

Range Share(int64_t n, int thread, int threads, int64_t unit) {
  const int64_t units = (n + unit - 1) / unit;
  return {std::min(n, units * thread / threads * unit),
          std::min(n, units * (thread + 1) / threads * unit)};
}

void Ops::RunRow(const Op& op, int64_t row) const {
  const auto at = [row](const Tensor& tensor) { return tensor.data + row * tensor.stride; };
  switch (op.kind) {
    case OpKind::kEmbed:
      return EmbedRow(static_cast<const PackedMatrix&>(*op.matrix), row, op.out);
    case OpKind::kRmsNorm:
      return NormRow(at(op.x), op.y, op.value, at(op.out));
    case OpKind::kHeadNorm:
      return HeadNormRow(op.x, row, op.y, op.value);
    case OpKind::kRope:
      return RopeRow(op.x, row, op.head_dim);
    case OpKind::kSwiGlu:
      return SwiGluRow(at(op.x), at(op.x) + op.out.cols, op.out.cols, at(op.out));
    case OpKind::kHadamard:
      return HadamardRow(at(op.x), op.x.cols, op.block, op.y, op.inverse);
    case OpKind::kAdd:
      return AddRow(at(op.x), at(op.y), op.x.cols);
    case OpKind::kGatherRows:
      std::copy_n(op.x.data + step_.logit_rows[static_cast<size_t>(row)] * op.x.stride, op.x.cols,
                  at(op.out));
      return;
    case OpKind::kMatMul:
    case OpKind::kStoreKv:
    case OpKind::kAttention:
    case OpKind::kLayerNorm:
    case OpKind::kBidirectionalAttention:
    case OpKind::kGelu:
      break;
  }
  CHECK(false, "{} on one row", OpName(op.kind));
}

void Ops::EmbedRow(const PackedMatrix& table, int64_t row, const Tensor& out) const {
  table.UnpackRow(step_.tokens[static_cast<size_t>(row)], out.data + row * out.stride);
}

void Ops::NormRow(const float* x, const Tensor& weight, float eps, float* out) const {
  elementwise_.rms_norm(x, weight.data, eps, weight.cols, out);
}

void Ops::HeadNormRow(const Tensor& x, int64_t row, const Tensor& weight, float eps) const {
  float* values = x.data + row * x.stride;
  for (int64_t at = 0; at < x.cols; at += weight.cols)
    NormRow(values + at, weight, eps, values + at);
}

void Ops::PrepareRow(const float* x, const PackedMatrix& matrix, uint32_t* out) const {
  const int64_t n = matrix.in_features;
  switch (matrix.form) {
    case WeightForm::kFp32:
      std::copy_n(x, n, reinterpret_cast<float*>(out));
      return;
    case WeightForm::kBf16:
    case WeightForm::kPackedBf16:
      return elementwise_.to_bf16(x, n, out);
    case WeightForm::kInt8:
      return matmul_.quantize(x, n, matrix.k_steps, kInt8Group, 4 * matrix.k_steps, out);
    case WeightForm::kInt4:
      return matmul_.quantize(x, n, matrix.k_steps, kInt4Group, kInt4Group, out);
    case WeightForm::kNative:
      return native_.quantize(x, n, out);
  }
}

void Ops::HadamardRow(float* x, int64_t cols, int64_t block, const Tensor& signs,
                      bool inverse) const {
  elementwise_.hadamard(x, cols, block, signs.data, inverse);
}

void Ops::Call(const PackedMatrix& matrix, Range panels, MatMulArgs args,
               PageArray<uint32_t>* unpacked) const {
  args.panels = matrix.Panel(panels.begin);
  args.panel_bytes = matrix.panel_bytes;
  args.n_panels = panels.size();
  args.more = panels.end < matrix.panels();
  args.bias = matrix.bias.empty() ? nullptr : matrix.bias.data() + panels.begin * matrix.panel;
  args.k_steps = matrix.k_steps;
  switch (matrix.form) {
    case WeightForm::kFp32:
      return matmul_.fp32(args);
    case WeightForm::kBf16:
      return matmul_.bf16(args);
    case WeightForm::kInt8:
      return matmul_.int8(args);
    case WeightForm::kInt4:
      return matmul_.int4(args);
    case WeightForm::kPackedBf16:
      Grow(unpacked, matrix.k_steps * matrix.panel);
      return matmul_.packed(args, unpacked->data());
    case WeightForm::kNative: {
      const NativePart& part = *matrix.native.At(panels.begin).part;
      args.panel_bytes = part.panel_bytes;
      return native_.product(args, part.form);
    }
  }
}

void Ops::Panels(const PackedMatrix& matrix, const ProductInput& x, int64_t n_rows, Range panels,
                 bool add, const Tensor& out, PageArray<uint32_t>* unpacked) const {
  for (int64_t p = panels.begin, end; p < panels.end; p = end) {
    end = matrix.RunEnd(p, panels.end);
    const int64_t column = matrix.FirstRow(p);
    MatMulArgs args = {};
    args.n = matrix.FirstRow(end - 1) + matrix.Rows(end - 1) - column;
    args.x = x.data, args.x_stride = x.stride, args.m = n_rows;
    args.out = out.data + column, args.out_stride = out.stride, args.add = add;
    Call(matrix, {p, end}, args, unpacked);
  }
}

void Ops::OnePanel(const PackedMatrix& matrix, const ProductInput& x, int64_t n_rows, int64_t panel,
                   float* out, PageArray<uint32_t>* unpacked) const {
  MatMulArgs args = {};
  args.n = matrix.panel;
  args.x = x.data, args.x_stride = x.stride, args.m = n_rows;
  args.out = out, args.out_stride = matrix.panel;
  Call(matrix, {panel, panel + 1}, args, unpacked);
}

void Ops::RopeRow(const Tensor& x, int64_t row, int64_t head_dim) const {
  const int64_t half = head_dim / 2;
  for (int64_t at = 0; at < x.cols; at += head_dim)
    elementwise_.rope(x.data + row * x.stride + at, step_.rope_cos.data() + row * half,
                      step_.rope_sin.data() + row * half, half);
}

void Ops::SwiGluRow(const float* gate, const float* up, int64_t n, float* out) const {
  elementwise_.swiglu(gate, up, n, out);
}

void Ops::AddRow(float* x, const float* y, int64_t n) const { elementwise_.add(x, y, n); }

void Ops::QuantizeHead(const float* x, int64_t head_dim, uint32_t* out) const {
  const int64_t steps = (head_dim + 3) / 4;
  matmul_.quantize(x, head_dim, steps, 4 * steps, 4 * steps, out);
}

// Row by row, in the memory order of k and v.
void Ops::StoreHeads(int64_t layer, const SequenceRows& sequence, Range heads, const Tensor& k,
                     const Tensor& v) const {
  const int64_t head_dim = step_.kv->shape.head_dim;
  for (int64_t i = 0; i < sequence.n_rows; ++i) {
    const int64_t position = sequence.context + i, row = sequence.first_row + i;
    const int64_t page = sequence.pages[static_cast<size_t>(position / kPageTokens)];
    for (int64_t head = heads.begin; head < heads.end; ++head)
      StoreHead(page, layer, head, position % kPageTokens,
                k.data + row * k.stride + head * head_dim,
                v.data + row * v.stride + head * head_dim);
  }
}

void Ops::StoreHead(int64_t page, int64_t layer, int64_t head, int64_t slot, const float* k,
                    const float* v) const {
  auto& kv = static_cast<PackedKv&>(*step_.kv);
  const int64_t head_dim = kv.shape.head_dim;
  if (kv.form == KvForm::kFp32) {
    kv.Store(page, layer, head, slot, k, v);
  } else if (kv.form == KvForm::kInt8) {
    uint32_t k_units[kMaxInt8KvUnits], v_units[kMaxInt8KvUnits];
    QuantizeHead(k, head_dim, k_units);
    QuantizeHead(v, head_dim, v_units);
    kv.StoreQuantized(page, layer, head, slot, k_units, v_units);
  } else {
    constexpr int64_t kAtOnce = 128;
    uint32_t k_pairs[kAtOnce / 2], v_pairs[kAtOnce / 2];
    for (int64_t e = 0; e < head_dim; e += kAtOnce) {
      const int64_t n = std::min(kAtOnce, head_dim - e);
      elementwise_.to_bf16(k + e, n, k_pairs);
      elementwise_.to_bf16(v + e, n, v_pairs);
      kv.StorePairs(page, layer, head, slot, e, n, k_pairs, v_pairs);
    }
  }
}

int64_t Ops::AttentionTokens(int64_t group) { return std::max(int64_t{1}, kAttentionRows / group); }

int64_t Ops::MaxAttentionRows(int64_t group) { return std::max(group, kAttentionRows); }

void Ops::ListItems(int64_t group, int64_t tokens, int threads,
                    std::vector<AttentionItem>* items) const {
  constexpr int64_t kItemsAThread = 8;  // so that the threads finish at the same time
  const int64_t kv_heads = step_.kv->shape.n_kv_heads;
  const int64_t shared = std::ssize(step_.sequences) * kv_heads / (kItemsAThread * threads);
  items->clear();
  for (const SequenceRows& sequence : step_.sequences)
    for (int64_t first = 0; first < sequence.n_rows; first += tokens) {
      const int64_t n = std::min(tokens, sequence.n_rows - first);
      const int64_t heads =
          std::clamp(std::min(shared, kAttentionRows / (n * group)), int64_t{1}, kv_heads);
      for (int64_t head = 0; head < kv_heads; head += heads)
        items->push_back({&sequence, first, n, head, std::min(heads, kv_heads - head)});
    }
}

void Ops::Reserve(const KvShape& shape, int64_t rows, int64_t context,
                  AttentionScratch* scratch) const {
  const int64_t pages = PagesFor(context);
  const int64_t padded_dim = PaddedDim(shape.head_dim);
  Grow(&scratch->q, rows * (shape.head_dim + 2));
  Grow(&scratch->scores, rows * pages * kPageTokens);
  Grow(&scratch->sums, SumsSize(rows, padded_dim));
  if (kv_ != KvForm::kFp32) Grow(&scratch->weights, rows * pages * kPageTokens / 2);
  for (auto* list : {&scratch->k_pages, &scratch->v_pages})
    list->reserve(static_cast<size_t>(pages));
  scratch->lengths.reserve(static_cast<size_t>(rows));
  scratch->out.reserve(static_cast<size_t>(rows));
}

void Ops::Attend(int64_t layer, const AttentionItem& item, const Tensor& q, float scale,
                 const Tensor& out, AttentionScratch* scratch) const {
  auto& kv = static_cast<PackedKv&>(*step_.kv);
  const int64_t d = kv.shape.head_dim, group = q.cols / d / kv.shape.n_kv_heads;
  const int64_t rows = item.n_tokens * group;  // query rows per K/V head
  const int64_t units = kv.form == KvForm::kFp32   ? d
                        : kv.form == KvForm::kBf16 ? d / 2
                                                   : (d + 3) / 4 + 2;
  const int64_t end = item.sequence->context + item.first_token + item.n_tokens;

  Reserve(kv.shape, item.n_heads * rows, end, scratch);
  scratch->k_pages.clear();
  scratch->v_pages.clear();
  for (int64_t i = 0; i < PagesFor(end); ++i) {
    const int64_t page = item.sequence->pages[static_cast<size_t>(i)];
    scratch->k_pages.push_back(kv.K(page, layer, item.kv_head));
    scratch->v_pages.push_back(kv.V(page, layer, item.kv_head));
  }
  scratch->lengths.clear();
  scratch->out.clear();
  for (int64_t r = 0; r < item.n_heads * rows; ++r) {
    const int64_t token = item.first_token + r % rows / group;
    const int64_t head = (item.kv_head + r / rows) * group + r % group;
    const int64_t row = item.sequence->first_row + token;
    const float* from = q.data + row * q.stride + head * d;
    uint32_t* to = scratch->q.data() + r * units;
    if (kv.form == KvForm::kInt8) {
      QuantizeHead(from, d, to);
    } else if (kv.form == KvForm::kBf16) {
      elementwise_.to_bf16(from, d, to);
    } else {
      std::copy_n(from, d, reinterpret_cast<float*>(to));
    }
    if (r < rows) scratch->lengths.push_back(item.sequence->context + token + 1);
    scratch->out.push_back(out.data + row * out.stride + head * d);
  }
  const auto attend = kv.form == KvForm::kInt8   ? attention_.int8
                      : kv.form == KvForm::kBf16 ? attention_.bf16
                                                 : attention_.fp32;
  attend({.k_pages = scratch->k_pages.data(),
          .v_pages = scratch->v_pages.data(),
          .k_stride = kv.KUnits(),
          .v_stride = kv.VStride(),
          .q = scratch->q.data(),
          .heads = item.n_heads,
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

}  // namespace merope::cpu

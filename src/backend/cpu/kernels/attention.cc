#include "backend/cpu/kernels/kernels.h"

// clang-format off: foreach_target includes this file again for each target, and comes before what is to be repeated.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "backend/cpu/kernels/attention-int8-inl.h"
#include "backend/cpu/kernels/round-inl.h"
#include "backend/cpu/kernels/tile-inl.h"
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace {

constexpr int64_t kPage = 64;

// scores (rows, pages · 64) = q · Kᵀ, unscaled.
template <class Type>
void Scores(const AttentionArgs& args, int64_t pages) {
  using Unit = typename Type::Unit;
  const int64_t k_steps = args.head_dim / Type::kPerUnit;
  const TileArgs tile{.k_steps = k_steps,
                      .x_stride = k_steps,
                      .out_stride = pages * kPage,
                      .columns = HWY_MIN(PanelWidth(), kPage),
                      .bias = nullptr,
                      .accumulate = false,
                      .add = false};
  for (int64_t page = 0; page < pages; ++page) {
    FetchNext(args.k_pages, page, pages, k_steps * kPage * static_cast<int64_t>(sizeof(Unit)));
    for (int64_t slot = 0; slot < kPage; slot += PanelWidth())
      Tile<Type>({static_cast<const Unit*>(args.k_pages[page]) + slot, kPage},
                 static_cast<const Unit*>(args.q), args.rows, args.scores + page * kPage + slot,
                 tile);
  }
}

// One row's scores to unnormalized probabilities exp(s·scale − max), rounded where products are in
// bf16, zero past length. Returns their sum.
template <class Type>
float Softmax(const AttentionArgs& args, float* row, int64_t length, int64_t pages,
              uint32_t* pairs) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const VF scale = hn::Set(df, args.scale);
  const VF lowest = hn::Set(df, -hwy::HighestValue<float>());
  VF max = lowest;
  for (int64_t t = 0; t < length; t += lanes) {
    const auto valid = hn::FirstN(df, static_cast<size_t>(length - t));
    max = hn::Max(max, hn::IfThenElse(valid, hn::LoadU(df, row + t), lowest));
  }
  max = hn::Mul(hn::Set(df, hn::ReduceMax(df, max)), scale);

  float total = 0;
  for (int64_t chunk = 0; chunk * kChunkPages < pages; ++chunk) {
    const int64_t begin = chunk * kChunkPages * kPage;
    const int64_t end = HWY_MIN(begin + kChunkPages * kPage, pages * kPage);
    VF sum = hn::Zero(df);
    for (int64_t t = begin; t < end; t += lanes) {
      VF p = hn::Zero(df);
      if (t < length) {
        p = hn::Exp(df, hn::Sub(hn::Mul(hn::LoadU(df, row + t), scale), max));
        if constexpr (Type::kPerUnit == 2) p = RoundBf16(p);
        p = hn::IfThenElseZero(hn::FirstN(df, static_cast<size_t>(length - t)), p);
      }
      sum = hn::Add(sum, p);
      hn::StoreU(p, df, row + t);
    }
    total += hn::ReduceSum(df, sum);
  }
  if constexpr (Type::kPerUnit == 2) PackPairs(row, pages * kPage, pairs);
  return total;
}

int64_t PagesOf(const AttentionArgs& args) {
  int64_t longest = 0;
  for (int64_t r = 0; r < args.rows; ++r) longest = HWY_MAX(longest, args.lengths[r]);
  return (longest + kPage - 1) / kPage;
}

// Sums of V chunk by chunk, chunk(first page, pages, (rows, padded_dim) out), added in order and
// divided by each row's total.
template <class Chunk>
void SumChunks(const AttentionArgs& args, int64_t pages, const float* totals, const Chunk& chunk) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const int64_t width = args.padded_dim;
  float* chunk_sums = args.sums;                // (rows, width) of the current chunk
  float* sums = args.sums + args.rows * width;  // (rows, width) of the chunks before
  for (int64_t page = 0; page < pages; page += kChunkPages) {
    chunk(page, HWY_MIN(kChunkPages, pages - page), chunk_sums);
    for (int64_t i = 0; i < args.rows * width; i += lanes) {
      const VF values = hn::LoadU(df, chunk_sums + i);
      hn::StoreU(page == 0 ? values : hn::Add(hn::LoadU(df, sums + i), values), df, sums + i);
    }
  }
  for (int64_t r = 0; r < args.rows; ++r)
    for (int64_t e = 0; e < args.head_dim; ++e) args.out[r][e] = sums[r * width + e] / totals[r];
}

template <class Type>
void Attention(const AttentionArgs& args) {
  using Unit = typename Type::Unit;
  const int64_t pages = PagesOf(args), width = args.padded_dim;
  const int64_t page_units = kPage / Type::kPerUnit;  // units of V and of the weights a page

  Scores<Type>(args, pages);
  float* totals = args.sums + 2 * args.rows * width;
  for (int64_t r = 0; r < args.rows; ++r)
    totals[r] =
        Softmax<Type>(args, args.scores + r * pages * kPage, args.lengths[r], pages,
                      args.weights == nullptr ? nullptr : args.weights + r * pages * page_units);

  const Unit* weights = Type::kPerUnit == 2 ? reinterpret_cast<const Unit*>(args.weights)
                                            : reinterpret_cast<const Unit*>(args.scores);
  TileArgs tile{.k_steps = page_units,
                .x_stride = pages * page_units,
                .out_stride = width,
                .columns = 0,
                .bias = nullptr,
                .accumulate = false,
                .add = false};
  SumChunks(args, pages, totals, [&](int64_t first, int64_t n, float* out) HWY_ATTR {
    for (int64_t page = first; page < first + n; ++page) {
      tile.accumulate = page > first;
      FetchNext(args.v_pages, page, pages, page_units * width * static_cast<int64_t>(sizeof(Unit)));
      const auto* v = static_cast<const Unit*>(args.v_pages[page]);
      for (int64_t e = 0; e < width; e += PanelWidth()) {
        tile.columns = HWY_MIN(PanelWidth(), width - e);
        Tile<Type>({v + e, width}, weights + page * page_units, args.rows, out + e, tile);
      }
    }
  });
}

void AttentionInt8(const AttentionArgs& args) {
  const int64_t pages = PagesOf(args), width = args.padded_dim;
  const int64_t k_steps = (args.head_dim + 3) / 4, v_steps = kPage / 4;
  for (int64_t page = 0; page < pages; ++page) {
    const auto* scales =
        reinterpret_cast<const float*>(static_cast<const uint32_t*>(args.k_pages[page])) +
        k_steps * kPage;
    FetchNext(args.k_pages, page, pages, 4 * (k_steps + 1) * kPage);
    for (int64_t slot = 0; slot < kPage; slot += PanelWidth())
      PagesTile<Sums::kScores>(static_cast<const uint32_t*>(args.q), args.rows, scales + slot,
                               args.scores + page * kPage + slot,
                               {.pages = args.k_pages + page,
                                .n_pages = 1,
                                .offset = 4 * slot,
                                .steps = k_steps,
                                .step_bytes = 4 * kPage,
                                .x_stride = k_steps + 2,
                                .columns = PanelWidth(),
                                .out_stride = pages * kPage});
  }
  float* totals = args.sums + 2 * args.rows * width;
  const int64_t row_units = 2 * pages * v_steps;  // high bytes, then low ones
  for (int64_t r = 0; r < args.rows; ++r) {
    float* row = args.scores + r * pages * kPage;
    uint32_t* high = args.weights + r * row_units;
    const float total = Softmax<Fp32>(args, row, args.lengths[r], pages, nullptr);
    const float unit = WeightsInBytes(args, row, pages, high, high + pages * v_steps);
    totals[r] = total / unit;
  }
  SumChunks(args, pages, totals, [&](int64_t first, int64_t n, float* out) HWY_ATTR {
    for (int64_t e = 0; e < width; e += PanelWidth()) {
      const PagesArgs tile{.pages = args.v_pages + first,
                           .n_pages = n,
                           .offset = 4 * e,
                           .steps = v_steps,
                           .step_bytes = 4 * width,
                           .x_stride = row_units,
                           .columns = HWY_MIN(PanelWidth(), width - e),
                           .out_stride = width};
      const uint32_t* high = args.weights + first * v_steps;
      PagesTile<Sums::kHigh>(high, args.rows, nullptr, out + e, tile);
      PagesTile<Sums::kLow>(high + pages * v_steps, args.rows, nullptr, out + e, tile);
    }
  });
}

const AttentionKernels* AttentionTable() {
  static const AttentionKernels kTable = {Attention<Fp32>, Attention<Bf16>, AttentionInt8};
  return &kTable;
}

}  // namespace
}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace merope::cpu {
HWY_EXPORT(AttentionTable);
const AttentionKernels& GetAttentionKernels() { return *HWY_DYNAMIC_DISPATCH(AttentionTable)(); }
}  // namespace merope::cpu
#endif

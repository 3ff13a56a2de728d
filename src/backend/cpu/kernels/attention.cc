#include "backend/cpu/kernels/kernels.h"

// clang-format off: foreach_target includes this file again for each target, and comes before what is to be repeated.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
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
  for (int64_t page = 0; page < pages; ++page)
    for (int64_t slot = 0; slot < kPage; slot += PanelWidth())
      Tile<Type>({static_cast<const Unit*>(args.k_pages[page]) + slot, kPage},
                 static_cast<const Unit*>(args.q), args.rows, args.scores + page * kPage + slot,
                 tile);
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

template <class Type>
void Attention(const AttentionArgs& args) {
  using Unit = typename Type::Unit;
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t longest = 0;
  for (int64_t r = 0; r < args.rows; ++r) longest = HWY_MAX(longest, args.lengths[r]);
  const int64_t pages = (longest + kPage - 1) / kPage;
  const int64_t page_units = kPage / Type::kPerUnit;  // units of V and of the weights a page
  const int64_t width = args.padded_dim;

  Scores<Type>(args, pages);
  float* totals = args.sums + 2 * args.rows * width;
  for (int64_t r = 0; r < args.rows; ++r)
    totals[r] =
        Softmax<Type>(args, args.scores + r * pages * kPage, args.lengths[r], pages,
                      args.weights == nullptr ? nullptr : args.weights + r * pages * page_units);

  const Unit* weights = Type::kPerUnit == 2 ? reinterpret_cast<const Unit*>(args.weights)
                                            : reinterpret_cast<const Unit*>(args.scores);
  float* chunk_sums = args.sums;                // (rows, width) of the current chunk
  float* sums = args.sums + args.rows * width;  // (rows, width) of the chunks before
  TileArgs tile{.k_steps = page_units,
                .x_stride = pages * page_units,
                .out_stride = width,
                .columns = 0,
                .bias = nullptr,
                .accumulate = false,
                .add = false};
  for (int64_t page = 0; page < pages; ++page) {
    tile.accumulate = page % kChunkPages != 0;
    const auto* v = static_cast<const Unit*>(args.v_pages[page]);
    for (int64_t e = 0; e < width; e += PanelWidth()) {
      tile.columns = HWY_MIN(PanelWidth(), width - e);
      Tile<Type>({v + e, width}, weights + page * page_units, args.rows, chunk_sums + e, tile);
    }
    const bool chunk_ends = (page + 1) % kChunkPages == 0 || page + 1 == pages;
    if (!chunk_ends) continue;
    const bool first = page < kChunkPages;
    for (int64_t i = 0; i < args.rows * width; i += lanes) {
      const VF chunk = hn::LoadU(df, chunk_sums + i);
      hn::StoreU(first ? chunk : hn::Add(hn::LoadU(df, sums + i), chunk), df, sums + i);
    }
  }
  for (int64_t r = 0; r < args.rows; ++r)
    for (int64_t e = 0; e < args.head_dim; ++e) args.out[r][e] = sums[r * width + e] / totals[r];
}

const AttentionKernels* AttentionTable() {
  static const AttentionKernels kTable = {Attention<Fp32>, Attention<Bf16>};
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

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

// Blocks of Type: while one is read, the next page's is asked for, line by line. Few rows wait for
// memory alone; blocks lie apart, and the hardware's own fetching starts anew at each.
template <class Type>
struct Paged : Type {
  struct Reader : Type::Reader {
    const typename Type::Unit* next;
    HWY_INLINE void Next(typename Type::W& a, typename Type::W& b, typename Type::W& c,
                         typename Type::W& d) {
      for (int64_t i = 0; i < PanelWidth(); i += 16) __builtin_prefetch(next + i, 0, 2);
      next += this->stride;
      Type::Reader::Next(a, b, c, d);
    }
  };
};

// A block from `column` on, its steps `stride` units apart; `next` is read after it.
template <class Type>
HWY_INLINE typename Paged<Type>::Reader ReadBlock(const void* block, const void* next,
                                                  int64_t column, int64_t stride) {
  using Unit = typename Type::Unit;
  return {{static_cast<const Unit*>(block) + column, stride},
          static_cast<const Unit*>(next) + column};
}

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
    const void* next = page + 1 < pages ? args.k_pages[page + 1] : args.v_pages[0];
    for (int64_t slot = 0; slot < kPage; slot += PanelWidth())
      Tile<Paged<Type>>(ReadBlock<Type>(args.k_pages[page], next, slot, kPage),
                        static_cast<const Unit*>(args.q), args.rows,
                        args.scores + page * kPage + slot, tile);
  }
}

// Bytes of V that are asked for before they are needed: what a second-level cache holds with ease.
constexpr int64_t kFetchedV = 256 << 10;

// Asks for one of `parts` parts of a block.
HWY_INLINE void FetchPart(const void* block, int64_t bytes, int64_t part, int64_t parts) {
  const auto* at = static_cast<const uint8_t*>(block);
  for (int64_t i = bytes * part / parts; i < bytes * (part + 1) / parts; i += 64)
    __builtin_prefetch(at + i, 0, 2);
}

// Whole pages of values that are bf16 already, to pairs.
HWY_INLINE void JoinPairs(const float* HWY_RESTRICT x, int64_t n, uint32_t* HWY_RESTRICT pairs) {
  const DF df;
  const DU du;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  for (int64_t i = 0; i < n; i += 2 * lanes) {
    VF even, odd;
    hn::LoadInterleaved2(df, x + i, even, odd);
    hn::StoreU(hn::Or(hn::ShiftRight<16>(hn::BitCast(du, even)), hn::BitCast(du, odd)), du,
               pairs + i / 2);
  }
}

// Row r's scores to unnormalized probabilities exp(s·scale − max), rounded where products are in
// bf16, zero past its length. Returns their sum. V's first blocks (v_bytes each) are asked for
// meanwhile, each row its part of them.
template <class Type>
float Softmax(const AttentionArgs& args, int64_t r, int64_t pages, int64_t v_bytes,
              uint32_t* pairs) {
  float* row = args.scores + r * pages * kPage;
  const int64_t length = args.lengths[r];
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
      if (t % kPage == 0 && t / kPage * v_bytes < kFetchedV)
        FetchPart(args.v_pages[t / kPage], v_bytes, r, args.rows);
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
  if constexpr (Type::kPerUnit == 2) JoinPairs(row, pages * kPage, pairs);
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
        Softmax<Type>(args, r, pages, page_units * width * static_cast<int64_t>(sizeof(Unit)),
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
      const void* next = args.v_pages[HWY_MIN(page + 1, pages - 1)];
      for (int64_t e = 0; e < width; e += PanelWidth()) {
        tile.columns = HWY_MIN(PanelWidth(), width - e);
        Tile<Paged<Type>>(ReadBlock<Type>(args.v_pages[page], next, e, width),
                          weights + page * page_units, args.rows, out + e, tile);
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
    const float total = Softmax<Fp32>(args, r, pages, kPage * width, nullptr);
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

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

// Blocks of Type. While a tile reads one block, it prefetches the next block line by line. A
// product of few rows only waits for memory. The blocks lie apart, and the hardware's own
// prefetching starts again at every block.
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

// Reads a block from `column` on. Its steps are `stride` units apart. `next` is the block that is
// read afterwards.
template <class Type>
HWY_INLINE typename Paged<Type>::Reader ReadBlock(const void* block, const void* next,
                                                  int64_t column, int64_t stride) {
  using Unit = typename Type::Unit;
  return {{static_cast<const Unit*>(block) + column, stride},
          static_cast<const Unit*>(next) + column};
}

// The block of `head` in a page.
HWY_INLINE const uint32_t* BlockOf(const void* page, int64_t head, int64_t stride) {
  return static_cast<const uint32_t*>(page) + head * stride;
}

// The block of K that is read after the block of `page` and `head`, or the first block of V.
HWY_INLINE const void* AfterK(const AttentionArgs& args, int64_t page, int64_t pages,
                              int64_t head) {
  if (head + 1 < args.heads) return BlockOf(args.k_pages[page], head + 1, args.k_stride);
  return page + 1 < pages ? args.k_pages[page + 1] : args.v_pages[0];
}

// scores (heads, rows, pages · 64) = q · Kᵀ, unscaled. Page by page, in the order of memory.
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
    for (int64_t head = 0; head < args.heads; ++head) {
      const uint32_t* block = BlockOf(args.k_pages[page], head, args.k_stride);
      const void* next = AfterK(args, page, pages, head);
      const auto* q = static_cast<const Unit*>(args.q) + head * args.rows * k_steps;
      float* scores = args.scores + head * args.rows * tile.out_stride + page * kPage;
      for (int64_t slot = 0; slot < kPage; slot += PanelWidth())
        Tile<Paged<Type>>(ReadBlock<Type>(block, next, slot, kPage), q, args.rows, scores + slot,
                          tile);
    }
}

// The bytes of V that are prefetched. A second-level cache easily holds them.
constexpr int64_t kFetchedV = 256 << 10;

// Prefetches part number `part` of the `parts` parts of a block.
HWY_INLINE void FetchPart(const void* block, int64_t bytes, int64_t part, int64_t parts) {
  const int64_t begin = bytes * part / parts;
  FetchBlock(static_cast<const uint8_t*>(block) + begin, bytes * (part + 1) / parts - begin);
}

// The largest of a row's first `length` scores.
HWY_INLINE float MaxScore(const float* row, int64_t length) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const VF lowest = hn::Set(df, -hwy::HighestValue<float>());
  VF max = lowest;
  int64_t t = 0;
  for (; t + lanes <= length; t += lanes) max = hn::Max(max, hn::LoadU(df, row + t));
  const auto rest = hn::FirstN(df, static_cast<size_t>(length - t));
  if (t < length) max = hn::Max(max, hn::IfThenElse(rest, hn::LoadU(df, row + t), lowest));
  return hn::ReduceMax(df, max);
}

// 2^y for −126 ≤ y ≤ 0, and 2^-126 for smaller y. The relative error is at most 3e-6, about a
// thousand times less than the rounding to bf16. The whole part of y becomes the exponent. The
// polynomial computes 2 to the rest: the minimax polynomial among the polynomials exact at 0.
HWY_INLINE VF Exp2ForBf16(VF y) {
  const DF df;
  const VF whole = hn::Set(df, 0x1.8p23f);  // a sum with this constant is rounded to an integer
  const VF least = hn::Set(df, -126.0f);
  // NaN must stay NaN. For a NaN and a number, x86's maximum is the second operand, and Arm's
  // maximum is the number.
#if HWY_ARCH_X86
  y = hn::Max(least, y);
#else
  y = hn::IfThenElse(hn::Lt(y, least), least, y);
#endif
  const VF shifted = hn::Add(y, whole);
  const VF rest = hn::Sub(y, hn::Sub(shifted, whole));
  VF power = hn::MulAdd(rest, hn::Set(df, 0.00958285294f), hn::Set(df, 0.0559064262f));
  power = hn::MulAdd(rest, power, hn::Set(df, 0.240240991f));
  power = hn::MulAdd(rest, power, hn::Set(df, 0.693124175f));
  power = hn::MulAdd(rest, power, hn::Set(df, 1.0f));
  const VU exponent = hn::ShiftLeft<23>(hn::BitCast(DU(), shifted));
  return hn::BitCast(df, hn::Add(hn::BitCast(DU(), power), exponent));
}

// Converts a row's scores from `begin` to `end` (whole pages) to unnormalized probabilities
// exp(s·scale − max·scale). Probabilities past the row's length are zero. Returns the sum of the
// probabilities. Calls fetch(page) at the start of each page. This overload (fp32) works in place.
template <class FetchPage>
HWY_INLINE float Probabilities(Fp32 /*products*/, float* row, int64_t begin, int64_t end,
                               int64_t length, float scale, float max, uint32_t* /*pairs*/,
                               const FetchPage& fetch) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const VF factor = hn::Set(df, scale), most = hn::Set(df, max * scale);
  VF sum = hn::Zero(df);
  for (int64_t t = begin; t < end; t += lanes) {
    if (t % kPage == 0) fetch(t / kPage);
    VF p = hn::Zero(df);
    if (t < length) {
      const VF y = hn::Sub(hn::Mul(hn::LoadU(df, row + t), factor), most);
      p = hn::IfThenElse(hn::IsNaN(y), y, hn::Exp(df, y));  // Exp turns NaN into 0
      p = hn::IfThenElseZero(hn::FirstN(df, static_cast<size_t>(length - t)), p);
    }
    sum = hn::Add(sum, p);
    hn::StoreU(p, df, row + t);
  }
  return hn::ReduceSum(df, sum);
}

// bf16: writes bf16 pairs. The sum is the sum of the rounded probabilities.
template <class FetchPage>
HWY_INLINE float Probabilities(Bf16 /*products*/, const float* row, int64_t begin, int64_t end,
                               int64_t length, float scale, float max, uint32_t* pairs,
                               const FetchPage& fetch) {
  constexpr float kLog2E = 1.44269504f;
  const DF df;
  const DU du;
  const hn::Repartition<hwy::bfloat16_t, DF> db;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const VF factor = hn::Set(df, scale * kLog2E), most = hn::Set(df, max * (scale * kLog2E));
  VF even_sum = hn::Zero(df), odd_sum = hn::Zero(df);
  for (int64_t t = begin; t < end; t += 2 * lanes) {
    if (t % kPage == 0) fetch(t / kPage);
    VF first = hn::Zero(df), second = hn::Zero(df);
    if (t < length) {
      first = Exp2ForBf16(hn::MulSub(hn::LoadU(df, row + t), factor, most));
      second = Exp2ForBf16(hn::MulSub(hn::LoadU(df, row + t + lanes), factor, most));
      if (t + 2 * lanes > length) {
        const int64_t of_second = HWY_MAX(length - t - lanes, int64_t{0});
        first = hn::IfThenElseZero(hn::FirstN(df, static_cast<size_t>(length - t)), first);
        second = hn::IfThenElseZero(hn::FirstN(df, static_cast<size_t>(of_second)), second);
      }
    }
    // No value is denormal, so all instruction sets round in the same way.
    const VU both = hn::BitCast(du, hn::OrderedDemote2To(db, first, second));
    hn::StoreU(both, du, pairs + t / 2);
    even_sum = hn::Add(even_sum, hn::BitCast(df, hn::ShiftLeft<16>(both)));
    odd_sum = hn::Add(odd_sum, hn::BitCast(df, hn::And(both, hn::Set(du, 0xffff0000u))));
  }
  return hn::ReduceSum(df, hn::Add(even_sum, odd_sum));
}

// Converts the scores of row r (of the rows of all heads) to unnormalized probabilities. Returns
// their sum. Meanwhile prefetches V's first blocks; each row prefetches its part of every block.
template <class Type>
float Softmax(const AttentionArgs& args, int64_t r, int64_t pages, uint32_t* pairs) {
  float* row = args.scores + r * pages * kPage;
  const int64_t length = args.lengths[r % args.rows];
  const float max = MaxScore(row, length);
  const int64_t v_bytes = args.heads * args.v_stride * static_cast<int64_t>(sizeof(uint32_t));
  const auto fetch = [&](int64_t page) HWY_ATTR {
    if (page * v_bytes < kFetchedV)
      FetchPart(args.v_pages[page], v_bytes, r, args.heads * args.rows);
  };
  float total = 0;
  for (int64_t page = 0; page < pages; page += kChunkPages) {
    const int64_t end = HWY_MIN(page + kChunkPages, pages);
    total += Probabilities(Type(), row, page * kPage, end * kPage, length, args.scale, max, pairs,
                           fetch);
  }
  return total;
}

int64_t PagesOf(const AttentionArgs& args) {
  int64_t longest = 0;
  for (int64_t r = 0; r < args.rows; ++r) longest = HWY_MAX(longest, args.lengths[r]);
  return (longest + kPage - 1) / kPage;
}

// Computes the sums of V chunk by chunk, with chunk(first page, pages, (heads, rows, padded_dim)
// out). Adds the chunks' sums in order, then divides them by each row's total.
template <class Chunk>
void SumChunks(const AttentionArgs& args, int64_t pages, const float* totals, const Chunk& chunk) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const int64_t width = args.padded_dim, rows = args.heads * args.rows;
  float* chunk_sums = args.sums;           // (heads, rows, width) of the current chunk
  float* sums = args.sums + rows * width;  // (heads, rows, width) of the chunks before
  for (int64_t page = 0; page < pages; page += kChunkPages) {
    chunk(page, HWY_MIN(kChunkPages, pages - page), chunk_sums);
    for (int64_t i = 0; i < rows * width; i += lanes) {
      const VF values = hn::LoadU(df, chunk_sums + i);
      hn::StoreU(page == 0 ? values : hn::Add(hn::LoadU(df, sums + i), values), df, sums + i);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    const VF total = hn::Set(df, totals[r]);
    for (int64_t e = 0; e < args.head_dim; e += lanes)
      Put(hn::Div(hn::LoadU(df, sums + r * width + e), total), args.head_dim - e, false,
          args.out[r] + e);
  }
}

template <class Type>
void Attention(const AttentionArgs& args) {
  using Unit = typename Type::Unit;
  const int64_t pages = PagesOf(args), width = args.padded_dim, rows = args.heads * args.rows;
  const int64_t page_units = kPage / Type::kPerUnit;  // units of V and of the weights per page

  Scores<Type>(args, pages);
  float* totals = args.sums + 2 * rows * width;
  for (int64_t r = 0; r < rows; ++r)
    totals[r] = Softmax<Type>(
        args, r, pages, args.weights == nullptr ? nullptr : args.weights + r * pages * page_units);

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
      for (int64_t head = 0; head < args.heads; ++head) {
        const uint32_t* block = BlockOf(args.v_pages[page], head, args.v_stride);
        const void* next = head + 1 < args.heads ? block + args.v_stride
                                                 : args.v_pages[HWY_MIN(page + 1, pages - 1)];
        const Unit* row = weights + head * args.rows * tile.x_stride + page * page_units;
        float* sums = out + head * args.rows * width;
        for (int64_t e = 0; e < width; e += PanelWidth()) {
          tile.columns = HWY_MIN(PanelWidth(), width - e);
          Tile<Paged<Type>>(ReadBlock<Type>(block, next, e, width), row, args.rows, sums + e, tile);
        }
      }
    }
  });
}

void AttentionInt8(const AttentionArgs& args) {
  const int64_t pages = PagesOf(args), width = args.padded_dim, rows = args.heads * args.rows;
  const int64_t k_steps = (args.head_dim + 3) / 4, v_steps = kPage / 4;
  for (int64_t page = 0; page < pages; ++page)
    for (int64_t head = 0; head < args.heads; ++head) {
      FetchBlock(AfterK(args, page, pages, head), 4 * args.k_stride);
      const int64_t first = head * args.rows;
      const uint32_t* block = BlockOf(args.k_pages[page], head, args.k_stride);
      const auto* scales = reinterpret_cast<const float*>(block + k_steps * kPage);
      for (int64_t slot = 0; slot < kPage; slot += PanelWidth())
        PagesTile<Sums::kScores>(static_cast<const uint32_t*>(args.q) + first * (k_steps + 2),
                                 args.rows, scales + slot,
                                 args.scores + (first * pages + page) * kPage + slot,
                                 {.pages = args.k_pages + page,
                                  .n_pages = 1,
                                  .offset = 4 * (head * args.k_stride + slot),
                                  .steps = k_steps,
                                  .step_bytes = 4 * kPage,
                                  .x_stride = k_steps + 2,
                                  .columns = PanelWidth(),
                                  .out_stride = pages * kPage});
    }
  float* totals = args.sums + 2 * rows * width;
  const int64_t row_units = 2 * pages * v_steps;  // high bytes, then low bytes
  for (int64_t r = 0; r < rows; ++r) {
    float* row = args.scores + r * pages * kPage;
    uint32_t* high = args.weights + r * row_units;
    const float total = Softmax<Fp32>(args, r, pages, nullptr);
    const float unit =
        WeightsInBytes(args, r / args.rows, row, pages, high, high + pages * v_steps);
    totals[r] = total / unit;
  }
  SumChunks(args, pages, totals, [&](int64_t first, int64_t n, float* out) HWY_ATTR {
    for (int64_t head = 0; head < args.heads; ++head)
      for (int64_t e = 0; e < width; e += PanelWidth()) {
        const PagesArgs tile{.pages = args.v_pages + first,
                             .n_pages = n,
                             .offset = 4 * (head * args.v_stride + e),
                             .steps = v_steps,
                             .step_bytes = 4 * width,
                             .x_stride = row_units,
                             .columns = HWY_MIN(PanelWidth(), width - e),
                             .out_stride = width};
        const uint32_t* high = args.weights + head * args.rows * row_units + first * v_steps;
        float* sums = out + head * args.rows * width + e;
        PagesTile<Sums::kHigh>(high, args.rows, nullptr, sums, tile);
        PagesTile<Sums::kLow>(high + pages * v_steps, args.rows, nullptr, sums, tile);
      }
  });
}

const AttentionKernels* AttentionTable() {
  static const AttentionKernels table = {Attention<Fp32>, Attention<Bf16>, AttentionInt8};
  return &table;
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

// Attention over an int8 cache (kernels.h describes its pages). Scores are exact integer dot
// products. A probability times the V scale of its position becomes an integer of 16 bits. The high
// and the low bytes of these integers are multiplied separately. Included once per instruction set.
#if defined(MEROPE_ATTENTION_INT8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_ATTENTION_INT8_INL_H_
#undef MEROPE_ATTENTION_INT8_INL_H_
#else
#define MEROPE_ATTENTION_INT8_INL_H_
#endif

#include <bit>
#include <cstdint>
#include <type_traits>

#include "backend/cpu/kernels/integer-inl.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/tile-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Prefetches the next block, so that a product of few rows does not wait at every block.
HWY_INLINE void FetchBlock(const void* block, int64_t bytes) {
  const auto* at = static_cast<const uint8_t*>(block);
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i, 0, 2);
}

// A product of rows of x with the blocks (steps, width, 4 bytes) of consecutive pages.
struct PagesArgs {
  const void* const* pages;
  int64_t n_pages, offset;  // offset: bytes from the start of a page to the first column
  int64_t steps, step_bytes;
  int64_t x_stride;
  int64_t columns, out_stride;
};

// The results made from the integer sums. kScores: a sum times K's scale, then times the row's
// scale. kHigh: sums of V, weighted with the high bytes of the weights. kLow: 256 times the result
// of kHigh, plus the sums weighted with the low bytes.
enum class Sums : uint8_t { kScores, kHigh, kLow };

#define MEROPE_ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define MEROPE_INIT(r)                                                             \
  [[maybe_unused]] VI a##r = hn::Zero(di), b##r = a##r, c##r = a##r, d##r = a##r;  \
  if constexpr (kRows > (r) && kSums == Sums::kScores) {                           \
    a##r = hn::Set(di, static_cast<int32_t>(x[(r) * args.x_stride + args.steps])); \
    b##r = a##r, c##r = a##r, d##r = a##r;                                         \
  }
#define MEROPE_STEP(r)                                                          \
  if constexpr (kRows > (r)) {                                                  \
    const auto xr = hn::BitCast(dx, hn::Set(DU(), x[(r) * args.x_stride + k])); \
    Multiply(wa, xr, a##r);                                                     \
    Multiply(wb, xr, b##r);                                                     \
    Multiply(wc, xr, c##r);                                                     \
    Multiply(wd, xr, d##r);                                                     \
  }
#define MEROPE_FINISH(r)                                        \
  if constexpr (kRows > (r)) {                                  \
    const uint32_t* row = x_begin + (r) * args.x_stride;        \
    float* at = out + (r) * args.out_stride;                    \
    FinishPages<kSums>(a##r, 0, row, scales, args, at);         \
    FinishPages<kSums>(b##r, lanes, row, scales, args, at);     \
    FinishPages<kSums>(c##r, 2 * lanes, row, scales, args, at); \
    FinishPages<kSums>(d##r, 3 * lanes, row, scales, args, at); \
  }

// Unsigned w times signed x, or signed w times unsigned x.
HWY_INLINE void Multiply(VU8 w, hn::Vec<DI8> x, VI& sum) { Accumulate(w, x, sum); }
HWY_INLINE void Multiply(hn::Vec<DI8> w, VU8 x, VI& sum) { Accumulate(x, w, sum); }

template <Sums kSums>
HWY_INLINE void FinishPages(VI sum, int64_t column, const uint32_t* x, const float* scales,
                            const PagesArgs& args, float* out) {
  const DF df;
  const int64_t n = args.columns - column;
  if (n <= 0) return;
  VF value = hn::ConvertTo(df, sum);
  if constexpr (kSums == Sums::kScores) {
    const VF row_scale = hn::Set(df, std::bit_cast<float>(x[args.steps + 1]));
    value = hn::Mul(hn::Mul(value, hn::LoadU(df, scales + column)), row_scale);
  } else if constexpr (kSums == Sums::kLow) {
    const auto part = static_cast<size_t>(HWY_MIN(n, static_cast<int64_t>(hn::Lanes(df))));
    value = hn::MulAdd(hn::LoadN(df, out + column, part), hn::Set(df, 256.0f), value);
  }
  PutVector(value, n, false, out + column);
}

template <Sums kSums, int kRows>
HWY_INLINE void PagesTileRows(const uint32_t* HWY_RESTRICT x, const float* scales,
                              float* HWY_RESTRICT out, const PagesArgs& args) {
  using DW = std::conditional_t<kSums == Sums::kScores, DU8, DI8>;
  using DX = std::conditional_t<kSums == Sums::kScores, DI8, DU8>;
  const DI di;
  const DW dw;
  const DX dx;
  const auto lanes = static_cast<int64_t>(hn::Lanes(DF()));
  const size_t bytes = hn::Lanes(dw);
  const uint32_t* x_begin = x;
  MEROPE_ROWS(MEROPE_INIT)
  for (int64_t page = 0; page < args.n_pages; ++page, x += args.steps) {
    const auto* w = static_cast<const hn::TFromD<DW>*>(args.pages[page]) + args.offset;
    if (kSums == Sums::kHigh && page + 1 < args.n_pages)
      FetchBlock(static_cast<const uint8_t*>(args.pages[page + 1]) + args.offset,
                 args.steps * args.step_bytes);
    for (int64_t k = 0; k < args.steps; ++k, w += args.step_bytes) {
      const auto wa = hn::LoadU(dw, w), wb = hn::LoadU(dw, w + bytes);
      const auto wc = hn::LoadU(dw, w + 2 * bytes), wd = hn::LoadU(dw, w + 3 * bytes);
      MEROPE_ROWS(MEROPE_STEP)
    }
  }
  MEROPE_ROWS(MEROPE_FINISH)
}

#undef MEROPE_ROWS
#undef MEROPE_INIT
#undef MEROPE_STEP
#undef MEROPE_FINISH

template <Sums kSums>
void PagesTile(const uint32_t* x, int64_t rows, const float* scales, float* out,
               const PagesArgs& args) {
  for (; rows >= kMaxRows; rows -= kMaxRows) {
    PagesTileRows<kSums, kMaxRows>(x, scales, out, args);
    x += kMaxRows * args.x_stride;
    out += kMaxRows * args.out_stride;
  }
  if (rows == 1) return PagesTileRows<kSums, 1>(x, scales, out, args);
  if (rows == 2) return PagesTileRows<kSums, 2>(x, scales, out, args);
  if constexpr (kMaxRows > 3) {
    if (rows == 3) return PagesTileRows<kSums, 3>(x, scales, out, args);
    if (rows == 4) return PagesTileRows<kSums, 4>(x, scales, out, args);
    if (rows == 5) return PagesTileRows<kSums, 5>(x, scales, out, args);
  }
}

// Converts the probabilities p (pages · 64) of one row of a head to weights: p · V's scale ≈ unit ·
// (256 · high + low). high and low are bytes, in pages · 16 units each. Returns the unit; if a
// weight is NaN, the unit is NaN.
inline float WeightsInBytes(const AttentionArgs& args, int64_t head, float* p, int64_t pages,
                            uint32_t* high, uint32_t* low) {
  constexpr float kMost = 65280;  // 255 · 256; 255.9… · 256 would round up to a high byte of 256
  const DF df;
  const hn::Rebind<uint8_t, DF> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  VI most = hn::Zero(DI());
  for (int64_t page = 0; page < pages; ++page) {
    const float* scales =
        reinterpret_cast<const float*>(static_cast<const uint32_t*>(args.v_pages[page])) +
        head * args.v_stride + kInt8KvSlots / 4 * args.padded_dim;
    float* row = p + page * kInt8KvSlots;
    for (int64_t t = 0; t < kInt8KvSlots; t += lanes) {
      const VF weight = hn::Mul(hn::LoadU(df, row + t), hn::LoadU(df, scales + t));
      hn::StoreU(weight, df, row + t);
      most = MostMagnitude(most, weight);
    }
  }
  const float largest = std::bit_cast<float>(hn::ReduceMax(DI(), most));
  const VF factor = hn::Set(df, largest > 0 ? kMost / largest : 0.0f);
  auto* high_bytes = reinterpret_cast<uint8_t*>(high);
  auto* low_bytes = reinterpret_cast<uint8_t*>(low);
  for (int64_t t = 0; t < pages * kInt8KvSlots; t += lanes) {
    const VI weight = hn::NearestInt(hn::Mul(hn::LoadU(df, p + t), factor));
    hn::StoreU(hn::DemoteTo(d8, hn::ShiftRight<8>(weight)), d8, high_bytes + t);
    hn::StoreU(hn::DemoteTo(d8, hn::And(weight, hn::Set(DI(), 255))), d8, low_bytes + t);
  }
  return largest / kMost;
}

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// The tile of products of native integers (native.h describes the forms). Included once per
// instruction set.
#if defined(MEROPE_NATIVE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_NATIVE_INL_H_
#undef MEROPE_NATIVE_INL_H_
#else
#define MEROPE_NATIVE_INL_H_
#endif

#include <bit>
#include <cstdint>

#include "backend/cpu/kernels/integer-inl.h"
#include "backend/cpu/kernels/native.h"
#include "backend/cpu/kernels/tile-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Readers of a run's steps, two steps at a time (First, Second), like the readers of integer-inl.h.
struct Native8 : Int8Weights {
  static constexpr int64_t kRun = 32;  // the number of k that share a scale
};
struct Native4 : Halves {
  static constexpr int64_t kRun = 32;
};
struct Native6 {
  static constexpr int64_t kRun = 16;
  const uint8_t* at;
  int pair = 0;  // which of the run's two pairs of steps is next

  template <int kVectors>
  HWY_INLINE void First(VU8& a, VU8& b, VU8& c, VU8& d) const {
    const auto bytes = static_cast<int64_t>(hn::Lanes(DU8()));
    a = Low(0), b = Low(bytes);
    if constexpr (kVectors == 4) c = Low(2 * bytes), d = Low(3 * bytes);
  }
  template <int kVectors>
  HWY_INLINE void Second(VU8& a, VU8& b, VU8& c, VU8& d) {
    const auto bytes = static_cast<int64_t>(hn::Lanes(DU8()));
    a = High(0), b = High(bytes);
    if constexpr (kVectors == 4) c = High(2 * bytes), d = High(3 * bytes);
    at += (1 + pair) * 4 * bytes;  // after the second pair, also past the upper bits
    pair ^= 1;
  }

 private:
  // The upper bits of the pair: the first step's at bits 4 and 5, the second step's at bits 6 and
  // 7.
  HWY_INLINE hn::Vec<hn::Repartition<uint16_t, DU8>> Upper(int64_t offset) const {
    const hn::Repartition<uint16_t, DU8> d16;
    const auto bytes = 4 * static_cast<int64_t>(hn::Lanes(DU8()));
    const auto upper = hn::BitCast(d16, hn::LoadU(DU8(), at + (2 - pair) * bytes + offset));
    return hn::ShiftLeftSame(upper, 4 * pair);
  }
  HWY_INLINE VU8 Low(int64_t offset) const {
    const DU8 d8;
    const VU8 upper = hn::And(hn::BitCast(d8, Upper(offset)), hn::Set(d8, 0x30));
    return hn::Or(hn::And(hn::LoadU(d8, at + offset), hn::Set(d8, 0x0f)), upper);
  }
  HWY_INLINE VU8 High(int64_t offset) const {
    const DU8 d8;
    const auto upper = hn::BitCast(d8, hn::ShiftRight<2>(Upper(offset)));
    return hn::Or(Halves::High(at + offset), hn::And(upper, hn::Set(d8, 0x30)));
  }
};

HWY_INLINE VF LoadHalves(const uint8_t* at) {
  const hn::Rebind<hwy::float16_t, DF> d16;
  return hn::PromoteTo(DF(), hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(at)));
}

// Scales or minimums of a vector of columns: fp16 numbers, or bytes times the fp16 numbers at
// `head`. The products are exact.
HWY_INLINE VF LoadFactors(const uint8_t* at, const uint8_t* head) {
  if (head == nullptr) return LoadHalves(at);
  const hn::Rebind<int8_t, DF> d8;
  const auto bytes = hn::LoadU(d8, reinterpret_cast<const int8_t*>(at));
  return hn::Mul(LoadHalves(head), hn::ConvertTo(DF(), hn::PromoteTo(DI(), bytes)));
}

// Scales or minimums of vectors first … first + kVectors − 1 of a panel. `at` moves past all four
// vectors of the panel.
template <int kVectors>
HWY_INLINE void LoadPanelFactors(const uint8_t*& at, const uint8_t* head, int64_t first, VF& a,
                                 VF& b, VF& c, VF& d) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(DF()));
  const int64_t step = head == nullptr ? 2 * lanes : lanes, up = head == nullptr ? 0 : 2 * lanes;
  const uint8_t *from = at + first * step, *from_head = head + first * up;
  a = LoadFactors(from, from_head), b = LoadFactors(from + step, from_head + up);
  if constexpr (kVectors == 4) {
    c = LoadFactors(from + 2 * step, from_head + 2 * up);
    d = LoadFactors(from + 3 * step, from_head + 3 * up);
  }
  at += 4 * step;
}

// a0 …: the sums of a run in integers. ta0 …: the sums of all blocks in fp32. Both stay in
// registers, as in IntegerTileRows.
#define MEROPE_ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define MEROPE_DECLARE(r) \
  [[maybe_unused]] VF ta##r = zero, tb##r = zero, tc##r = zero, td##r = zero;
#define MEROPE_MINIMUM(r)                                                              \
  if constexpr (kRows > (r)) {                                                         \
    const VF sum = hn::Set(df, std::bit_cast<float>(x[(r) * args.x_stride + to_sum])); \
    ta##r = hn::MulAdd(sa, sum, ta##r);                                                \
    tb##r = hn::MulAdd(sb, sum, tb##r);                                                \
    if constexpr (kVectors == 4) {                                                     \
      tc##r = hn::MulAdd(sc, sum, tc##r);                                              \
      td##r = hn::MulAdd(sd, sum, td##r);                                              \
    }                                                                                  \
  }
#define MEROPE_INIT(r) \
  [[maybe_unused]] VI a##r = hn::Zero(di), b##r = a##r, c##r = a##r, d##r = a##r;
// A run's sums start with minus the offset times the sum of x.
#define MEROPE_OFFSET(r)                                                      \
  if constexpr (kRows > (r)) {                                                \
    const uint32_t* sums = x + (r) * args.x_stride + args.k_steps + step / 4; \
    auto sum = static_cast<int32_t>(sums[0]);                                 \
    if constexpr (Weights::kRun == 32) sum += static_cast<int32_t>(sums[1]);  \
    a##r = hn::Set(di, -form.offset * sum);                                   \
    b##r = a##r, c##r = a##r, d##r = a##r;                                    \
  }
#define MEROPE_STEP(r)                                                             \
  if constexpr (kRows > (r)) {                                                     \
    const auto xr = hn::BitCast(DI8(), hn::Set(DU(), x[(r) * args.x_stride + k])); \
    Accumulate(wa, xr, a##r);                                                      \
    Accumulate(wb, xr, b##r);                                                      \
    if constexpr (kVectors == 4) {                                                 \
      Accumulate(wc, xr, c##r);                                                    \
      Accumulate(wd, xr, d##r);                                                    \
    }                                                                              \
  }
#define MEROPE_FOLD(r)                                                                     \
  if constexpr (kRows > (r)) {                                                             \
    const VF scale = hn::Set(df, std::bit_cast<float>(x[(r) * args.x_stride + to_scale])); \
    ta##r = AddScaled(a##r, scale, sa, ta##r);                                             \
    tb##r = AddScaled(b##r, scale, sb, tb##r);                                             \
    if constexpr (kVectors == 4) {                                                         \
      tc##r = AddScaled(c##r, scale, sc, tc##r);                                           \
      td##r = AddScaled(d##r, scale, sd, td##r);                                           \
    }                                                                                      \
  }
#define MEROPE_FINISH(r)                     \
  if constexpr (kRows > (r)) {               \
    float* to = out + (r) * args.out_stride; \
    Finish(ta##r, first, args, to);          \
    Finish(tb##r, first + 1, args, to);      \
    if constexpr (kVectors == 4) {           \
      Finish(tc##r, first + 2, args, to);    \
      Finish(td##r, first + 3, args, to);    \
    }                                        \
  }

HWY_INLINE VF AddScaled(VI sum, VF x_scale, VF scale, VF total) {
  return hn::MulAdd(hn::Mul(hn::ConvertTo(DF(), sum), x_scale), scale, total);
}

template <class Weights, int kRows, int kVectors>
HWY_INLINE void NativeTileRows(const uint8_t* panel, const NativeForm& form, int64_t first,
                               const uint32_t* HWY_RESTRICT x, float* HWY_RESTRICT out,
                               const TileArgs& args, Fetch fetch = {}) {
  const DF df;
  const DI di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const VF zero = hn::Zero(df);
  constexpr int64_t kBlockOfSteps = kNativeBlock / 4, kRunOfSteps = Weights::kRun / 4;
  const int64_t blocks = args.k_steps / kBlockOfSteps, skipped = first * 4 * lanes;
  MEROPE_ROWS(MEROPE_DECLARE)
  const uint8_t *at = panel, *head = nullptr, *minimum_head = nullptr;
  for (int64_t block = 0; block < blocks; ++block) {
    if (form.super && block % kNativeSuper == 0) {
      head = at;
      at += 8 * lanes;
      if (form.minimum) minimum_head = at, at += 8 * lanes;
    }
    const int64_t to_scale = args.k_steps + args.k_steps / 4 + block, to_sum = to_scale + blocks;
    VF sa, sb;
    [[maybe_unused]] VF sc, sd;
    if (form.minimum) {
      LoadPanelFactors<kVectors>(at, minimum_head, first, sa, sb, sc, sd);
      MEROPE_ROWS(MEROPE_MINIMUM)
    }
    for (int64_t step = block * kBlockOfSteps; step < (block + 1) * kBlockOfSteps;
         step += kRunOfSteps) {
      MEROPE_ROWS(MEROPE_INIT)
      if (form.offset != 0) {
        MEROPE_ROWS(MEROPE_OFFSET)
      }
      Weights w{at + skipped};
      for (int64_t k = step, end = step + kRunOfSteps; k < end; ++k) {
        VU8 wa, wb, wc, wd;
        w.template First<kVectors>(wa, wb, wc, wd);
        if constexpr (kVectors == 2) fetch.Step();
        MEROPE_ROWS(MEROPE_STEP)
        ++k;
        w.template Second<kVectors>(wa, wb, wc, wd);
        if constexpr (kVectors == 2) fetch.Step();
        MEROPE_ROWS(MEROPE_STEP)
      }
      at = w.at - skipped;
      LoadPanelFactors<kVectors>(at, head, first, sa, sb, sc, sd);
      MEROPE_ROWS(MEROPE_FOLD)
    }
  }
  MEROPE_ROWS(MEROPE_FINISH)
}

#undef MEROPE_ROWS
#undef MEROPE_DECLARE
#undef MEROPE_MINIMUM
#undef MEROPE_INIT
#undef MEROPE_OFFSET
#undef MEROPE_STEP
#undef MEROPE_FOLD
#undef MEROPE_FINISH

template <class Weights>
struct NativeRows {
  const uint8_t* panel;
  const NativeForm& form;
  const TileArgs& args;
  template <int kRows, int kVectors>
  HWY_INLINE void Run(int64_t first, const uint32_t* x, float* out, Fetch fetch) const {
    NativeTileRows<Weights, kRows, kVectors>(panel, form, first, x, out, args, fetch);
  }
};

// Writes a row of x in the form that the products take.
inline void QuantizeBlocks(const float* HWY_RESTRICT x, int64_t n, uint32_t* HWY_RESTRICT out) {
  const int64_t blocks = n / kNativeBlock;
  auto* bytes = reinterpret_cast<int8_t*>(out);
  uint32_t *sums = out + n / 4, *scales = sums + n / 16;
  for (int64_t block = 0; block < blocks; ++block) {
    int8_t* to = bytes + block * kNativeBlock;
    const float scale = QuantizeRun(x + block * kNativeBlock, kNativeBlock, kNativeBlock, to);
    int32_t sum[2] = {};
    for (int64_t i = 0; i < kNativeBlock; ++i) sum[i / 16] += to[i];
    sums[2 * block] = static_cast<uint32_t>(sum[0]);
    sums[2 * block + 1] = static_cast<uint32_t>(sum[1]);
    scales[block] = std::bit_cast<uint32_t>(scale);
    scales[blocks + block] = std::bit_cast<uint32_t>(scale * static_cast<float>(sum[0] + sum[1]));
  }
}

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

// Products of integer weights and activations (kernels.h describes the forms). The sums of a group
// are exact, in 32-bit integers. Then one multiply-add with the group's scale adds them to the fp32
// sums. Included once per instruction set.
#if defined(MEROPE_INTEGER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_INTEGER_INL_H_
#undef MEROPE_INTEGER_INL_H_
#else
#define MEROPE_INTEGER_INL_H_
#endif

#include <array>
#include <bit>
#include <cstdint>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/opaque-inl.h"
#include "backend/cpu/kernels/tile-inl.h"
#include "backend/integer.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DI = hn::RebindToSigned<DF>;
using VI = hn::Vec<DI>;
using DU8 = hn::Repartition<uint8_t, DF>;
using VU8 = hn::Vec<DU8>;
using DI8 = hn::Repartition<int8_t, DF>;

// Reads a group's steps of four k, two steps at a time (First, Second): all four vectors of a
// panel, or two of them. The group's scales follow.
struct Int8Weights {
  static constexpr bool kFetchedAhead = true;  // a product of one row only waits for memory
  static constexpr int64_t kGroup = kInt8Group;
  static constexpr bool kScaledGroups = false;  // whether each group of x has its own scale
  const uint8_t* at;

  template <int kVectors>
  HWY_INLINE void First(VU8& a, VU8& b, VU8& c, VU8& d) {
    const DU8 d8;
    const size_t bytes = hn::Lanes(d8);
    a = hn::LoadU(d8, at), b = hn::LoadU(d8, at + bytes);
    if constexpr (kVectors == 4)
      c = hn::LoadU(d8, at + 2 * bytes), d = hn::LoadU(d8, at + 3 * bytes);
    at += 4 * bytes;
  }
  template <int kVectors>
  HWY_INLINE void Second(VU8& a, VU8& b, VU8& c, VU8& d) {
    First<kVectors>(a, b, c, d);
  }
};

// The low halves of the bytes belong to the first step, the high halves to the second step.
struct Halves {
  static constexpr bool kFetchedAhead = false;  // splitting takes longer than reading memory
  const uint8_t* at;

  template <int kVectors>
  HWY_INLINE void First(VU8& a, VU8& b, VU8& c, VU8& d) const {
    const DU8 d8;
    const size_t bytes = hn::Lanes(d8);
    const VU8 low = hn::Set(d8, 0x0f);
    a = hn::And(hn::LoadU(d8, at), low), b = hn::And(hn::LoadU(d8, at + bytes), low);
    if constexpr (kVectors == 4) {
      c = hn::And(hn::LoadU(d8, at + 2 * bytes), low);
      d = hn::And(hn::LoadU(d8, at + 3 * bytes), low);
    }
  }
  template <int kVectors>
  HWY_INLINE void Second(VU8& a, VU8& b, VU8& c, VU8& d) {
    const size_t bytes = hn::Lanes(DU8());
    a = High(at), b = High(at + bytes);
    if constexpr (kVectors == 4) c = High(at + 2 * bytes), d = High(at + 3 * bytes);
    at += 4 * bytes;
  }
  static HWY_INLINE VU8 High(const uint8_t* from) {
    const DU8 d8;
    const hn::Repartition<uint16_t, DU8> d16;
    const auto halves = hn::ShiftRight<4>(hn::BitCast(d16, hn::LoadU(d8, from)));
    return hn::And(hn::BitCast(d8, halves), hn::Set(d8, 0x0f));
  }
};

// The halves are codes of int4 weights.
struct Int4Weights : Halves {
  static constexpr int64_t kGroup = kInt4Group;
  static constexpr bool kScaledGroups = true;

  template <int kVectors>
  HWY_INLINE void First(VU8& a, VU8& b, VU8& c, VU8& d) const {
    Halves::First<kVectors>(a, b, c, d);
    LookUp<kVectors>(a, b, c, d);
  }
  template <int kVectors>
  HWY_INLINE void Second(VU8& a, VU8& b, VU8& c, VU8& d) {
    Halves::Second<kVectors>(a, b, c, d);
    LookUp<kVectors>(a, b, c, d);
  }

 private:
  template <int kVectors>
  static HWY_INLINE void LookUp(VU8& a, VU8& b, VU8& c, VU8& d) {
    alignas(16) static constexpr auto kBytes = [] {
      std::array<uint8_t, 16> bytes = {};
      for (size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<uint8_t>(kInt4Values[i] + kIntegerOffset);
      return bytes;
    }();
    const VU8 table = hn::LoadDup128(DU8(), kBytes.data());
    a = hn::TableLookupBytes(table, a), b = hn::TableLookupBytes(table, b);
    if constexpr (kVectors == 4)
      c = hn::TableLookupBytes(table, c), d = hn::TableLookupBytes(table, d);
  }
};

// One vector of bf16 scales as fp32.
HWY_INLINE VF LoadScales(const uint16_t* at) {
  const hn::Rebind<uint16_t, DF> d16;
  return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), hn::LoadU(d16, at))));
}

// a0 …: the sums of a group in integers. ta0 …: the sums of all groups in fp32. All are in
// registers. kMaxWideRows is the maximum number of rows for which the registers hold the sums of
// four vectors; a tile of more rows takes two vectors.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
inline constexpr int kMaxWideRows = 3;
#else
inline constexpr int kMaxWideRows = 1;
#endif

#define MEROPE_ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define MEROPE_DECLARE(r) \
  [[maybe_unused]] VF ta##r = zero, tb##r = zero, tc##r = zero, td##r = zero;
#define MEROPE_INIT(r)                                                                       \
  [[maybe_unused]] VI a##r = hn::Zero(di), b##r = a##r, c##r = a##r, d##r = a##r;            \
  if constexpr (kRows > (r)) {                                                               \
    a##r = hn::Set(di, static_cast<int32_t>(x[(r) * args.x_stride + args.k_steps + group])); \
    b##r = a##r, c##r = a##r, d##r = a##r;                                                   \
  }
#define MEROPE_STEP(r)                                                                \
  if constexpr (kRows > (r)) {                                                        \
    const auto xr = hn::BitCast(DI8(), hn::Set(DU(), x[(r) * args.x_stride + step])); \
    Accumulate(wa, xr, a##r);                                                         \
    Accumulate(wb, xr, b##r);                                                         \
    if constexpr (kVectors == 4) {                                                    \
      Accumulate(wc, xr, c##r);                                                       \
      Accumulate(wd, xr, d##r);                                                       \
    }                                                                                 \
  }
#define MEROPE_FOLD(r)                                                                  \
  if constexpr (kRows > (r)) {                                                          \
    VF fa = sa, fb = sb, fc = sc, fd = sd;                                              \
    if constexpr (Weights::kScaledGroups) {                                             \
      const VF scale =                                                                  \
          hn::Set(df, std::bit_cast<float>(x[(r) * args.x_stride + x_scales + group])); \
      fa = hn::Mul(sa, scale), fb = hn::Mul(sb, scale);                                 \
      if constexpr (kVectors == 4) fc = hn::Mul(sc, scale), fd = hn::Mul(sd, scale);    \
    }                                                                                   \
    ta##r = hn::MulAdd(hn::ConvertTo(df, a##r), fa, ta##r);                             \
    tb##r = hn::MulAdd(hn::ConvertTo(df, b##r), fb, tb##r);                             \
    if constexpr (kVectors == 4) {                                                      \
      tc##r = hn::MulAdd(hn::ConvertTo(df, c##r), fc, tc##r);                           \
      td##r = hn::MulAdd(hn::ConvertTo(df, d##r), fd, td##r);                           \
    }                                                                                   \
  }
#define MEROPE_FINISH(r)                                                                         \
  if constexpr (kRows > (r)) {                                                                   \
    if constexpr (!Weights::kScaledGroups) {                                                     \
      const VF scale = hn::Set(df, std::bit_cast<float>(x[(r) * args.x_stride + x_scales]));     \
      ta##r = hn::Mul(ta##r, scale), tb##r = hn::Mul(tb##r, scale);                              \
      if constexpr (kVectors == 4) tc##r = hn::Mul(tc##r, scale), td##r = hn::Mul(td##r, scale); \
    }                                                                                            \
    float* at = out + (r) * args.out_stride;                                                     \
    Finish(ta##r, first, args, at);                                                              \
    Finish(tb##r, first + 1, args, at);                                                          \
    if constexpr (kVectors == 4) {                                                               \
      Finish(tc##r, first + 2, args, at);                                                        \
      Finish(td##r, first + 3, args, at);                                                        \
    }                                                                                            \
  }

// Not inlined, because inlined copies would be most of the code.
static HWY_NOINLINE void PutVector(VF values, int64_t n, bool add, float* at) {
  Put(values, n, add, at);
}

// Stores the sums of a row for vector i of the panel: adds the bias, and with args.add adds to out.
HWY_INLINE void Finish(VF sums, int64_t i, const TileArgs& args, float* out) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  if (args.bias != nullptr) sums = hn::Add(sums, hn::LoadU(df, args.bias + i * lanes));
  if (args.columns == 4 * lanes) {
    if (args.add) sums = hn::Add(hn::LoadU(df, out + i * lanes), sums);
    hn::StoreU(sums, df, out + i * lanes);
  } else {
    PutVector(sums, args.columns - i * lanes, args.add, out + i * lanes);
  }
}

// Prefetches two steps of k (eight vectors), kAhead bytes ahead.
HWY_INLINE void FetchAhead(const uint8_t* at) {
  constexpr int64_t kAhead = 4096;
  const auto bytes = static_cast<int64_t>(8 * hn::Lanes(DU8()));
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + kAhead + i, 0, 2);
}

HWY_INLINE void Accumulate(VU8 w, hn::Vec<DI8> x, VI& sum) {
  sum = hn::SumOfMulQuadAccumulate(DI(), w, x, sum);
  Opaque(sum);
}

// kRows rows of x times vectors first … first + kVectors − 1 of the panel. args.k_steps counts
// steps of four k, padded to whole groups.
template <class Weights, int kRows, int kVectors>
HWY_INLINE void IntegerTileRows(const uint8_t* panel, int64_t first, const uint32_t* HWY_RESTRICT x,
                                float* HWY_RESTRICT out, const TileArgs& args, Fetch fetch = {}) {
  const DF df;
  const DI di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const VF zero = hn::Zero(df);
  constexpr int64_t kSteps = Weights::kGroup / 4;
  const int64_t groups = args.k_steps / kSteps, skipped = first * 4 * lanes;
  const int64_t x_scales = args.k_steps + groups;  // the position of the scales in a row of x
  MEROPE_ROWS(MEROPE_DECLARE)
  Weights w{panel + skipped};
  for (int64_t group = 0; group < groups; ++group) {
    MEROPE_ROWS(MEROPE_INIT)
    for (int64_t step = group * kSteps, end = step + kSteps; step < end; ++step) {
      VU8 wa, wb, wc, wd;
      if constexpr (kRows == 1 && Weights::kFetchedAhead) FetchAhead(w.at);
      w.template First<kVectors>(wa, wb, wc, wd);
      if constexpr (kVectors == 2) fetch.Step();
      MEROPE_ROWS(MEROPE_STEP)
      ++step;
      w.template Second<kVectors>(wa, wb, wc, wd);
      if constexpr (kVectors == 2) fetch.Step();
      MEROPE_ROWS(MEROPE_STEP)
    }
    const auto* scales = reinterpret_cast<const uint16_t*>(w.at - skipped) + first * lanes;
    const VF sa = LoadScales(scales), sb = LoadScales(scales + lanes);
    [[maybe_unused]] VF sc = zero, sd = zero;
    if constexpr (kVectors == 4)
      sc = LoadScales(scales + 2 * lanes), sd = LoadScales(scales + 3 * lanes);
    w.at += 8 * lanes;
    MEROPE_ROWS(MEROPE_FOLD)
  }
  MEROPE_ROWS(MEROPE_FINISH)
}

#undef MEROPE_ROWS
#undef MEROPE_DECLARE
#undef MEROPE_INIT
#undef MEROPE_STEP
#undef MEROPE_FOLD
#undef MEROPE_FINISH

// With at least this number of rows, tiles take a panel in two halves. Fewer rows wait for memory
// longer than they multiply, and memory is read faster as one stream than as two.
inline constexpr int64_t kMinHalvedRows = 4 * kMaxRows;

// Any number of rows of x times one panel, tile by tile. Calls tile.Run<kRows, kVectors>(first
// vector, x, out, fetch).
template <class Rows>
HWY_INLINE void IntegerTiles(const Rows& tile, const uint32_t* x, int64_t rows, float* out,
                             const TileArgs& args) {
  if (rows >= kMinHalvedRows) {
    const int64_t whole = rows / kMaxRows;
    for (int64_t i = 0; i < 2 * whole; ++i)
      tile.template Run<kMaxRows, 2>(i % 2 * 2, x + i / 2 * kMaxRows * args.x_stride,
                                     out + i / 2 * kMaxRows * args.out_stride,
                                     FetchOf(args, i, 2 * whole));
    rows -= whole * kMaxRows;
    x += whole * kMaxRows * args.x_stride;
    out += whole * kMaxRows * args.out_stride;
  }
  for (; rows >= kMaxWideRows; rows -= kMaxWideRows) {
    tile.template Run<kMaxWideRows, 4>(0, x, out, {});
    x += kMaxWideRows * args.x_stride;
    out += kMaxWideRows * args.out_stride;
  }
  if constexpr (kMaxWideRows > 1) {
    if (rows == 1) return tile.template Run<1, 4>(0, x, out, {});
    if (rows == 2) return tile.template Run<2, 4>(0, x, out, {});
  }
}

template <class Weights>
struct IntegerRows {
  const uint8_t* panel;
  const TileArgs& args;
  template <int kRows, int kVectors>
  HWY_INLINE void Run(int64_t first, const uint32_t* x, float* out, Fetch fetch) const {
    IntegerTileRows<Weights, kRows, kVectors>(panel, first, x, out, args, fetch);
  }
};

// The larger of `most` and the magnitudes, compared by their bits. The order of the bits is the
// order of the numbers, with NaN above all numbers. A maximum of floats may drop a NaN.
HWY_INLINE VI MostMagnitude(VI most, VF values) {
  return hn::Max(most, hn::BitCast(DI(), hn::Abs(values)));
}

// Quantizes n values to integers from -127 to 127, padded with zeros to `run` integers. Returns
// their scale. If a value is NaN, the scale is NaN.
inline float QuantizeRun(const float* HWY_RESTRICT x, int64_t n, int64_t run,
                         int8_t* HWY_RESTRICT out) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  VI most = hn::Zero(DI());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) most = MostMagnitude(most, hn::LoadU(df, x + i));
  if (i < n) most = MostMagnitude(most, hn::LoadN(df, x + i, static_cast<size_t>(n - i)));
  const float largest = std::bit_cast<float>(hn::ReduceMax(DI(), most));
  const float inverse = largest > kLeastMagnitude ? 127.0f / largest : 0.0f;

  const hn::Rebind<int8_t, DF> d8;
  const VF factor = hn::Set(df, inverse);
  for (i = 0; i < n; i += lanes) {
    const auto rest = static_cast<size_t>(HWY_MIN(lanes, n - i));
    const VI q = hn::NearestInt(hn::Mul(hn::LoadN(df, x + i, rest), factor));
    hn::StoreN(hn::DemoteTo(d8, q), d8, out + i, rest);
  }
  for (i = n; i < run; ++i) out[i] = 0;
  return largest / 127.0f;
}

// Writes x (n) as units of four integers, padded to k_steps units; then, for each group of `group`
// values, minus kIntegerOffset times the group's sum; then the scale of each run of `run` values.
inline void QuantizeRow(const float* HWY_RESTRICT x, int64_t n, int64_t k_steps, int64_t group,
                        int64_t run, uint32_t* HWY_RESTRICT out) {
  auto* bytes = reinterpret_cast<int8_t*>(out);
  const int64_t groups = 4 * k_steps / group;
  for (int64_t at = 0; at < 4 * k_steps; at += run) {
    const float scale = QuantizeRun(x + at, HWY_MIN(run, n - at), run, bytes + at);
    out[k_steps + groups + at / run] = std::bit_cast<uint32_t>(scale);
  }
  for (int64_t g = 0; g < groups; ++g) {
    int32_t sum = 0;
    for (int64_t i = 0; i < group; ++i) sum += bytes[g * group + i];
    out[k_steps + g] = static_cast<uint32_t>(-kIntegerOffset * sum);
  }
}

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

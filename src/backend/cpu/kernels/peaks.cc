#include "backend/cpu_peaks.h"

// clang-format off: foreach_target includes this file again for each target, and comes before what is to be repeated.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/peaks.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "backend/cpu/kernels/opaque-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;

// Rows of accumulators, with four accumulators per row. These are enough to hide the latency of a
// multiply-add. Together with the factors, they fit into the registers (32 or 16).
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kRows = 4;
#else
constexpr int kRows = 2;
#endif

struct Fp32 {
  static constexpr int64_t kPerLane = 1;  // multiply-adds of one MulAdd in a 32-bit lane
  static HWY_INLINE hn::Vec<DF> Zero() { return hn::Zero(DF()); }
  static HWY_INLINE hn::Vec<DF> X(int8_t x) { return hn::Set(DF(), x); }
  static HWY_INLINE hn::Vec<DF> W(int8_t w) { return hn::Set(DF(), w); }
  static HWY_INLINE hn::Vec<DF> MulAdd(hn::Vec<DF> w, hn::Vec<DF> x, hn::Vec<DF> sum) {
    return hn::MulAdd(w, x, sum);
  }
  static HWY_INLINE double Total(hn::Vec<DF> sum) { return hn::ReduceSum(DF(), sum); }
};

struct Bf16 {
  static constexpr int64_t kPerLane = 2;
  static HWY_INLINE hn::Vec<DF> Zero() { return hn::Zero(DF()); }
  // bf16 represents small integers exactly.
  static HWY_INLINE hn::Vec<DU> X(int8_t x) {
    const hn::Vec<DU> high = hn::BitCast(DU(), hn::Set(DF(), x));
    return hn::Or(high, hn::ShiftRight<16>(high));
  }
  static HWY_INLINE hn::Vec<DU> W(int8_t w) { return X(w); }
  static HWY_INLINE hn::Vec<DF> MulAdd(hn::Vec<DU> w, hn::Vec<DU> x, hn::Vec<DF> sum) {
    const DF df;
#if HWY_NATIVE_DOT_BF16
    const hn::Repartition<hwy::bfloat16_t, DF> db;
    hn::Vec<DF> unused = hn::Zero(df);
    return hn::ReorderWidenMulAccumulate(df, hn::BitCast(db, w), hn::BitCast(db, x), sum, unused);
#else
    const hn::Vec<DU> high = hn::Set(DU(), 0xffff0000u);
    sum = hn::MulAdd(hn::BitCast(df, hn::And(w, high)), hn::BitCast(df, hn::And(x, high)), sum);
    return hn::MulAdd(hn::BitCast(df, hn::ShiftLeft<16>(w)), hn::BitCast(df, hn::ShiftLeft<16>(x)),
                      sum);
#endif
  }
  static HWY_INLINE double Total(hn::Vec<DF> sum) { return hn::ReduceSum(DF(), sum); }
};

struct Int8 {
  using DX = hn::Repartition<uint8_t, DI>;
  using DW = hn::Repartition<int8_t, DI>;
  static constexpr int64_t kPerLane = 4;
  static HWY_INLINE hn::Vec<DI> Zero() { return hn::Zero(DI()); }
  static HWY_INLINE hn::Vec<DX> X(int8_t x) { return hn::Set(DX(), static_cast<uint8_t>(x)); }
  static HWY_INLINE hn::Vec<DW> W(int8_t w) { return hn::Set(DW(), w); }
  static HWY_INLINE hn::Vec<DI> MulAdd(hn::Vec<DW> w, hn::Vec<DX> x, hn::Vec<DI> sum) {
    sum = hn::SumOfMulQuadAccumulate(DI(), x, w, sum);
    Opaque(sum);  // else g++ 12 copies every accumulator through memory, twice per step
    return sum;
  }
  static HWY_INLINE double Total(hn::Vec<DI> sum) { return hn::ReduceSum(DI(), sum); }
};

#define MEROPE_PEAK_ROWS(DO) DO(0) DO(1) DO(2) DO(3)
#define MEROPE_PEAK_INIT(r)                        \
  [[maybe_unused]] auto x##r = Type::X(args.x[r]); \
  [[maybe_unused]] auto a##r = zero, b##r = zero, c##r = zero, d##r = zero;
#define MEROPE_PEAK_STEP(r)              \
  if constexpr (kRows > (r)) {           \
    Opaque(x##r);                        \
    a##r = Type::MulAdd(wa, x##r, a##r); \
    b##r = Type::MulAdd(wb, x##r, b##r); \
    c##r = Type::MulAdd(wc, x##r, c##r); \
    d##r = Type::MulAdd(wd, x##r, d##r); \
  }
#define MEROPE_PEAK_TOTAL(r)             \
  if constexpr (kRows > (r)) {           \
    args.sums[r][0] = Type::Total(a##r); \
    args.sums[r][1] = Type::Total(b##r); \
    args.sums[r][2] = Type::Total(c##r); \
    args.sums[r][3] = Type::Total(d##r); \
  }

template <class Type>
int64_t Peak(PeakArgs& args) {
  static_assert(kRows <= kPeakRows && kPeakColumns == 4);
  const auto zero = Type::Zero();
  const auto wa = Type::W(args.w[0]), wb = Type::W(args.w[1]);
  const auto wc = Type::W(args.w[2]), wd = Type::W(args.w[3]);
  MEROPE_PEAK_ROWS(MEROPE_PEAK_INIT)
  for (int64_t step = 0; step < args.steps; ++step) {
    MEROPE_PEAK_ROWS(MEROPE_PEAK_STEP)
  }
  MEROPE_PEAK_ROWS(MEROPE_PEAK_TOTAL)
  const auto lanes = static_cast<int64_t>(hn::Lanes(DF()));
  return 2 * Type::kPerLane * lanes * kRows * kPeakColumns * args.steps;
}

const PeakKernels* PeakTable() {
  static const PeakKernels table = {kRows, Peak<Fp32>, Peak<Bf16>, Peak<Int8>};
  return &table;
}

}  // namespace
}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace merope::cpu {
HWY_EXPORT(PeakTable);
const PeakKernels& GetPeakKernels() { return *HWY_DYNAMIC_DISPATCH(PeakTable)(); }
}  // namespace merope::cpu
#endif

// Rounds fp32 vectors to bf16. Included once per instruction set.
#if defined(MEROPE_ROUND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_ROUND_INL_H_
#undef MEROPE_ROUND_INL_H_
#else
#define MEROPE_ROUND_INL_H_
#endif

#include <cstdint>

#include "base/dtype.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rounds to the nearest bf16, ties to even; NaN stays NaN. The result is an fp32 vector whose low
// halves are zero. The rounding uses integer operations, so results are bit-identical on every
// instruction set (the conversion instructions of some CPUs flush denormals).
template <class V>
HWY_INLINE V RoundBf16(V value) {
  const hn::DFromV<V> df;
  const hn::RebindToUnsigned<decltype(df)> du;
  const auto bits = hn::BitCast(du, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
  const auto rounded = hn::Add(bits, hn::Add(hn::Set(du, 0x7fffu), odd));
  const auto quiet = hn::Or(bits, hn::Set(du, 0x00400000u));
  const auto either = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(value)), quiet, rounded);
  return hn::BitCast(df, hn::And(either, hn::Set(du, 0xffff0000u)));
}

// Rounds n floats to bf16 pairs, with the even element in the low half. The last value of an odd n
// is paired with zero.
HWY_INLINE void PackPairs(const float* HWY_RESTRICT x, int64_t n, uint32_t* HWY_RESTRICT pairs) {
  const hn::CappedTag<float, 16> df;
  const hn::RebindToUnsigned<decltype(df)> du;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    hn::Vec<decltype(df)> even, odd;
    hn::LoadInterleaved2(df, x + i, even, odd);
    const auto low = hn::ShiftRight<16>(hn::BitCast(du, RoundBf16(even)));
    hn::StoreU(hn::Or(low, hn::BitCast(du, RoundBf16(odd))), du, pairs + i / 2);
  }
  for (; i < n; i += 2) {
    const uint32_t high = i + 1 < n ? F32ToBF16(x[i + 1]) : 0;
    pairs[i / 2] = F32ToBF16(x[i]) | (high << 16);
  }
}

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

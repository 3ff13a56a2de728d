#include <cmath>

#include "backend/cpu/kernels/kernels.h"

// clang-format off: foreach_target includes this file again for each target, and comes before what is to be repeated.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/elementwise.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "backend/cpu/kernels/round-inl.h"
#include "hwy/contrib/math/math-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace {

using DF = hn::CappedTag<float, 16>;
using VF = hn::Vec<DF>;

int64_t Lanes() { return static_cast<int64_t>(hn::Lanes(DF())); }

// Calls step(i, load, store) over [0, n), for whole vectors and then once for the rest. load(p)
// reads a vector at p; store(v, p) writes v to p. In the rest, both handle only the elements that
// are left.
template <class Step>
HWY_INLINE void ForVectors(int64_t n, const Step& step) {
  const DF df;
  int64_t i = 0;
  for (; i + Lanes() <= n; i += Lanes())
    step(
        i, [=](const float* p) { return hn::LoadU(df, p); },
        [=](VF v, float* p) { hn::StoreU(v, df, p); });
  const auto rest = static_cast<size_t>(n - i);
  if (rest > 0)
    step(
        i, [=](const float* p) { return hn::LoadN(df, p, rest); },
        [=](VF v, float* p) { hn::StoreN(v, df, p, rest); });
}

void RmsNorm(const float* x, const float* weight, float eps, int64_t n, float* out) {
  const DF df;
  VF sum = hn::Zero(df);
  ForVectors(n, [&](int64_t i, auto load, auto) {
    const VF v = load(x + i);
    sum = hn::MulAdd(v, v, sum);
  });
  const float mean_square = hn::ReduceSum(df, sum) / static_cast<float>(n);
  const VF scale = hn::Set(df, 1.0f / std::sqrt(mean_square + eps));
  ForVectors(n, [&](int64_t i, auto load, auto store) {
    store(hn::Mul(hn::Mul(load(x + i), scale), load(weight + i)), out + i);
  });
}

void SwiGlu(const float* gate, const float* up, int64_t n, float* out) {
  const DF df;
  const VF one = hn::Set(df, 1.0f);
  const VF most = hn::Set(df, 104.0f);  // Highway's Exp is infinite at 104, and undefined above
  ForVectors(n, [&](int64_t i, auto load, auto store) {
    const VF g = load(gate + i);
    const VF silu = hn::Div(g, hn::Add(one, hn::Exp(df, hn::Min(hn::Neg(g), most))));
    store(hn::Mul(silu, load(up + i)), out + i);
  });
}

void Add(float* x, const float* y, int64_t n) {
  ForVectors(n, [&](int64_t i, auto load, auto store) {
    store(hn::Add(load(x + i), load(y + i)), x + i);
  });
}

void Rope(float* x, const float* cos, const float* sin, int64_t half) {
  ForVectors(half, [&](int64_t i, auto load, auto store) {
    const VF a = load(x + i), b = load(x + half + i), c = load(cos + i), s = load(sin + i);
    store(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), x + i);
    store(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), x + half + i);
  });
}

void Multiply(float* x, const float* y, int64_t n) {
  ForVectors(n, [&](int64_t i, auto load, auto store) {
    store(hn::Mul(load(x + i), load(y + i)), x + i);
  });
}

// Sums and differences of lanes within a vector, at distances half = 1, 2, 4 … below `limit`: lane
// i takes lane i ^ half.
HWY_INLINE VF MixLanes(VF v, int64_t limit) {
  const DF df;
  const hn::RebindToSigned<DF> di;
  const auto lane = hn::Iota(di, 0);
  for (int64_t half = 1; half < limit; half *= 2) {
    const auto bit = hn::Set(di, static_cast<int32_t>(half));
    const VF other = hn::TableLookupLanes(v, hn::IndicesFromVec(df, hn::Xor(lane, bit)));
    const auto upper = hn::RebindMask(df, hn::TestBit(lane, bit));
    v = hn::IfThenElse(upper, hn::Sub(other, v), hn::Add(v, other));
  }
  return v;
}

// Sums and differences of vectors within the block, at the distance `half`, then at twice this
// distance, and so on. Takes two distances at once while two are left.
HWY_INLINE void MixVectors(float* x, int64_t block, int64_t half) {
  const DF df;
  for (; 2 * half < block; half *= 4)
    for (int64_t i = 0; i < block; i += 4 * half)
      for (float *at = x + i, *end = at + half; at < end; at += Lanes()) {
        const VF a = hn::LoadU(df, at), b = hn::LoadU(df, at + half);
        const VF c = hn::LoadU(df, at + 2 * half), d = hn::LoadU(df, at + 3 * half);
        const VF ab = hn::Add(a, b), a_b = hn::Sub(a, b);
        const VF cd = hn::Add(c, d), c_d = hn::Sub(c, d);
        hn::StoreU(hn::Add(ab, cd), df, at);
        hn::StoreU(hn::Add(a_b, c_d), df, at + half);
        hn::StoreU(hn::Sub(ab, cd), df, at + 2 * half);
        hn::StoreU(hn::Sub(a_b, c_d), df, at + 3 * half);
      }
  if (half < block)
    for (float *at = x, *end = x + half; at < end; at += Lanes()) {
      const VF a = hn::LoadU(df, at), b = hn::LoadU(df, at + half);
      hn::StoreU(hn::Add(a, b), df, at);
      hn::StoreU(hn::Sub(a, b), df, at + half);
    }
}

void Hadamard(float* x, int64_t n, int64_t block, const float* signs, bool inverse) {
  const DF df;
  if (signs != nullptr && !inverse) Multiply(x, signs, n);
  const VF scale = hn::Set(df, 1.0f / std::sqrt(static_cast<float>(block)));
  const int64_t near = HWY_MIN(block, Lanes());  // MixLanes mixes distances below this number
  int64_t i = 0;
  for (; i + Lanes() <= n; i += Lanes())
    hn::StoreU(MixLanes(hn::LoadU(df, x + i), near), df, x + i);
  for (int64_t half = 1; half < near; half *= 2)  // the last elements, fewer than a vector has
    for (int64_t j = i; j < n; ++j)
      if ((j & half) == 0) {
        const float a = x[j], b = x[j + half];
        x[j] = a + b;
        x[j + half] = a - b;
      }
  for (float* at = x; at < x + n; at += block) MixVectors(at, block, near);
  ForVectors(n,
             [&](int64_t k, auto load, auto store) { store(hn::Mul(load(x + k), scale), x + k); });
  if (signs != nullptr && inverse) Multiply(x, signs, n);
}

void ToBf16(const float* x, int64_t n, uint32_t* out) { PackPairs(x, n, out); }

const ElementwiseKernels* ElementwiseTable() {
  static const ElementwiseKernels table = {
      hwy::TargetName(HWY_TARGET), RmsNorm, SwiGlu, Add, Rope, Hadamard, ToBf16};
  return &table;
}

}  // namespace
}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace merope::cpu {
HWY_EXPORT(ElementwiseTable);
const ElementwiseKernels& GetElementwiseKernels() {
  return *HWY_DYNAMIC_DISPATCH(ElementwiseTable)();
}
}  // namespace merope::cpu
#endif

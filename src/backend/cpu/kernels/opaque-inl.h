// Hides a vector's value from the compiler's optimizer. Included once per instruction set.
#if defined(MEROPE_OPAQUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_OPAQUE_INL_H_
#undef MEROPE_OPAQUE_INL_H_
#else
#define MEROPE_OPAQUE_INL_H_
#endif

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {

// Tells the compiler that v may have changed. This has no cost at run time. The compiler then moves
// no use of v across this point, and g++ 12 does not copy the accumulators of
// SumOfMulQuadAccumulate through memory twice per step.
template <class V>
HWY_INLINE void Opaque(V& v) {
#if HWY_ARCH_X86
  asm volatile("" : "+v"(v.raw));
#elif HWY_TARGET_IS_SVE
  asm volatile("" : "+w"(v));
#elif HWY_TARGET_IS_NEON
  asm volatile("" : "+w"(v.raw));
#else
  asm volatile("" : "+m"(v));
#endif
}

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

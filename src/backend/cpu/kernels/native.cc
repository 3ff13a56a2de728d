#include "backend/cpu/kernels/native.h"

// clang-format off: foreach_target includes this file again for each target, and comes before what is to be repeated.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/native.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "backend/cpu/kernels/native-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace {

template <class Weights>
void Panels(const MatMulArgs& args, const NativeForm& form) {
  const int64_t panel = PanelWidth();
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const uint8_t* at = static_cast<const uint8_t*>(args.panels) + p * args.panel_bytes;
    const TileArgs tile = TileArgsOf(args, p, at + args.panel_bytes, args.panel_bytes);
    IntegerTiles(NativeRows<Weights>{at, form, tile}, static_cast<const uint32_t*>(args.x), args.m,
                 args.out + p * panel, tile);
  }
}

void Product(const MatMulArgs& args, const NativeForm& form) {
  if (form.bits == 4) return Panels<Native4>(args, form);
  if (form.bits == 6) return Panels<Native6>(args, form);
  Panels<Native8>(args, form);
}

const NativeKernels* NativeTable() {
  static const NativeKernels table = {Product, QuantizeBlocks};
  return &table;
}

}  // namespace
}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace merope::cpu {
HWY_EXPORT(NativeTable);
const NativeKernels& GetNativeKernels() { return *HWY_DYNAMIC_DISPATCH(NativeTable)(); }
}  // namespace merope::cpu
#endif

#include "backend/cpu/kernels/kernels.h"

// clang-format off: foreach_target includes this file again for each target, and comes before what is to be repeated.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/matmul.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "backend/cpu/kernels/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace {

template <class Type>
void MatMul(const MatMulArgs& args) {
  using Unit = typename Type::Unit;
  const int64_t panel = PanelWidth();
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const int64_t column = p * panel;
    const TileArgs tile{.w_stride = panel,
                        .k_steps = args.k_steps,
                        .x_stride = args.x_stride,
                        .out_stride = args.out_stride,
                        .columns = HWY_MIN(panel, args.n - column),
                        .bias = args.bias == nullptr ? nullptr : args.bias + column,
                        .accumulate = false,
                        .add = args.add};
    Tile<Type>(static_cast<const Unit*>(args.panels) + column * args.k_steps,
               static_cast<const Unit*>(args.x), args.m, args.out + column, tile);
  }
}

const MatMulKernels* MatMulTable() {
  static const MatMulKernels table = {PanelWidth(), MatMul<Fp32>, MatMul<Bf16>};
  return &table;
}

}  // namespace
}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace merope::cpu {
HWY_EXPORT(MatMulTable);
const MatMulKernels& GetMatMulKernels() { return *HWY_DYNAMIC_DISPATCH(MatMulTable)(); }
}  // namespace merope::cpu
#endif

#include "backend/cpu/kernels/kernels.h"

// clang-format off: foreach_target includes this file again for each target, and comes before what is to be repeated.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/kernels/matmul.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "backend/cpu/kernels/integer-inl.h"
#include "backend/cpu/kernels/interleave-inl.h"
#include "backend/cpu/kernels/packed-inl.h"
#include "backend/cpu/kernels/tile-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace {

template <class Type>
void MatMul(const MatMulArgs& args) {
  using Unit = typename Type::Unit;
  const int64_t panel = PanelWidth(), units = panel * args.k_steps;
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const Unit* at = static_cast<const Unit*>(args.panels) + p * units;
    const TileArgs tile =
        TileArgsOf(args, p, at + units, units * static_cast<int64_t>(sizeof(Unit)));
    Tile<Type>({at, panel}, static_cast<const Unit*>(args.x), args.m, args.out + p * panel, tile);
  }
}

// With at most kMaxPackedRows rows, every tile unpacks the packed steps for itself. With more rows,
// the first tile also writes the unpacked panel to scratch, and the other tiles read this panel.
void MatMulPacked(const MatMulArgs& args, uint32_t* scratch) {
  const int64_t panel = PanelWidth();
  const auto* x = static_cast<const uint32_t*>(args.x);
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const PackedPanel& packed = static_cast<const PackedPanel*>(args.panels)[p];
    float* out = args.out + p * panel;
    const uint8_t* next = HasNext(args, p) ? (&packed)[1].steps : nullptr;
    // 3 bytes per unit: raw steps are larger, so the next panel may have somewhat more bytes.
    const TileArgs tile = TileArgsOf(args, p, next, 3 * panel * args.k_steps);
    if (args.m <= kMaxPackedRows) {
      Tile<PackedBf16>(PackedBf16::Reader(packed), x, args.m, out, tile);
    } else {
      constexpr int kFirst = UnpackingBf16::kMaxRows;
      TileRows<UnpackingBf16, kFirst>(UnpackingBf16::Reader(packed, scratch), x, out, tile);
      Tile<Bf16>({scratch, panel}, x + kFirst * args.x_stride, args.m - kFirst,
                 out + kFirst * args.out_stride, tile);
    }
  }
}

template <class Weights>
void MatMulInteger(const MatMulArgs& args) {
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const uint8_t* at = static_cast<const uint8_t*>(args.panels) + p * args.panel_bytes;
    const TileArgs tile = TileArgsOf(args, p, at + args.panel_bytes, args.panel_bytes);
    IntegerTiles(IntegerRows<Weights>{at, tile}, static_cast<const uint32_t*>(args.x), args.m,
                 args.out + p * PanelWidth(), tile);
  }
}

const MatMulKernels* MatMulTable() {
  static const MatMulKernels table = {PanelWidth(),
                                      MatMul<Fp32>,
                                      MatMul<Bf16>,
                                      MatMulPacked,
                                      MatMulInteger<Int8Weights>,
                                      MatMulInteger<Int4Weights>,
                                      QuantizeRow,
                                      InterleaveRows,
                                      PackPanel,
                                      UnpackPanel};
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

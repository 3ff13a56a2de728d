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

TileArgs ArgsOf(const MatMulArgs& args, int64_t p) {
  const int64_t panel = PanelWidth(), column = p * panel;
  return {.k_steps = args.k_steps,
          .x_stride = args.x_stride,
          .out_stride = args.out_stride,
          .columns = HWY_MIN(panel, args.n - column),
          .bias = args.bias == nullptr ? nullptr : args.bias + column,
          .accumulate = false,
          .add = args.add};
}

// Whether there is a panel after p, for the products of the next rows.
bool HasNext(const MatMulArgs& args, int64_t p) { return p + 1 < args.n_panels || args.more; }

template <class Type>
void MatMul(const MatMulArgs& args) {
  using Unit = typename Type::Unit;
  const int64_t panel = PanelWidth(), units = panel * args.k_steps;
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const Unit* at = static_cast<const Unit*>(args.panels) + p * units;
    TileArgs tile = ArgsOf(args, p);
    if (HasNext(args, p)) tile.next = reinterpret_cast<const uint8_t*>(at + units);
    tile.next_bytes = units * static_cast<int64_t>(sizeof(Unit));
    Tile<Type>({at, panel}, static_cast<const Unit*>(args.x), args.m, args.out + p * panel, tile);
  }
}

// Few rows take the packed steps apart as they go; for many, each panel is unpacked once.
void MatMulPacked(const MatMulArgs& args, uint32_t* scratch) {
  const int64_t panel = PanelWidth();
  const auto* x = static_cast<const uint32_t*>(args.x);
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const PackedPanel& packed = static_cast<const PackedPanel*>(args.panels)[p];
    float* out = args.out + p * panel;
    TileArgs tile = ArgsOf(args, p);
    if (HasNext(args, p)) tile.next = (&packed)[1].steps;
    tile.next_bytes = 3 * panel * args.k_steps;  // or somewhat more
    if (args.m <= kMaxPackedRows) {
      Tile<PackedBf16>(PackedBf16::Reader(packed), x, args.m, out, tile);
    } else {
      UnpackPanel(packed, args.k_steps, scratch);
      Tile<Bf16>({scratch, panel}, x, args.m, out, tile);
    }
  }
}

template <class Weights>
void MatMulInteger(const MatMulArgs& args) {
  for (int64_t p = 0; p < args.n_panels; ++p) {
    const uint8_t* at = static_cast<const uint8_t*>(args.panels) + p * args.panel_bytes;
    TileArgs tile = ArgsOf(args, p);
    if (HasNext(args, p)) tile.next = at + args.panel_bytes;
    tile.next_bytes = args.panel_bytes;
    IntegerTile<Weights>(at, static_cast<const uint32_t*>(args.x), args.m,
                         args.out + p * PanelWidth(), tile);
  }
}

const MatMulKernels* MatMulTable() {
  static const MatMulKernels kTable = {PanelWidth(),
                                       MatMul<Fp32>,
                                       MatMul<Bf16>,
                                       MatMulPacked,
                                       MatMulInteger<Int8Weights>,
                                       MatMulInteger<Int4Weights>,
                                       QuantizeRow,
                                       InterleaveRows,
                                       PackPanel,
                                       UnpackPanel};
  return &kTable;
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

#include "backend/cpu/native.h"

#include <algorithm>
#include <cstring>

#include "backend/integer.h"
#include "backend/weights.h"
#include "checkpoint/blocks.h"

namespace merope::cpu {
namespace {

static_assert(kNativeBlock == kBlockRun && kNativeBlock == kNativeGroup);

// The offsets within a panel, in bytes.
struct Layout {
  NativeForm form;
  int64_t panel;

  // The number of consecutive k that share a scale.
  int64_t run() const { return form.bits == 6 ? 16 : kNativeBlock; }
  int64_t runs() const { return kNativeBlock / run(); }
  int64_t factor() const { return form.super ? 1 : 2; }  // bytes of a scale or a minimum
  int64_t minimums() const { return form.minimum ? panel * factor() : 0; }
  int64_t run_integers() const { return panel * run() * form.bits / 8; }
  int64_t block() const { return minimums() + runs() * (run_integers() + panel * factor()); }
  int64_t head() const { return form.super ? 2 * panel * (form.minimum ? 2 : 1) : 0; }

  // Of block b: the super form's fp16 numbers before the block (Head), and the block, which starts
  // with its minimums (Block). Of run r in the block: the integers and the scales.
  int64_t Head(int64_t b) const { return b / kNativeSuper * (head() + kNativeSuper * block()); }
  int64_t Block(int64_t b) const {
    return form.super ? Head(b) + head() + b % kNativeSuper * block() : b * block();
  }
  int64_t PanelBytes(int64_t blocks) const { return form.super ? Head(blocks) : Block(blocks); }
  int64_t Integers(int64_t b, int64_t r) const {
    return Block(b) + minimums() + r * (run_integers() + panel * factor());
  }
  int64_t Scales(int64_t b, int64_t r) const { return Integers(b, r) + run_integers(); }

  // Within a run's integers: the byte with the integer of column j and k. With 4 bits, half of the
  // byte is this integer; with 6 bits, half of the byte is the integer's low four bits.
  int64_t Byte(int64_t j, int64_t k) const {
    const int64_t step = k / 4, at = 4 * j + k % 4;
    return (form.bits == 8 ? step : step / 2) * 4 * panel + at;
  }
  // With 6 bits: the byte with the integer's upper two bits, and their position in this byte.
  int64_t UpperByte(int64_t j, int64_t k) const { return 8 * panel + 4 * j + k % 4; }
  static int UpperShift(int64_t k) { return static_cast<int>((k / 4 * 2 + 4) % 8); }
};

void Put(uint8_t* at, uint16_t half) { std::memcpy(at, &half, 2); }
float GetHalf(const uint8_t* at) {
  uint16_t half;
  std::memcpy(&half, at, 2);
  return F16ToF32(half);
}

// Writes one column of a block. The panel must be zero before.
void PackBlock(const BlockRun& from, const Layout& layout, int64_t b, int64_t j, uint8_t* panel) {
  const NativeForm& form = layout.form;
  if (form.super) {
    Put(panel + layout.Head(b) + 2 * j, from.scale);
    if (form.minimum) {
      Put(panel + layout.Head(b) + 2 * (layout.panel + j), from.minimum);
      panel[layout.Block(b) + j] = static_cast<uint8_t>(from.minimum_factor);
    }
  } else if (form.minimum) {
    Put(panel + layout.Block(b) + 2 * j, from.minimum);
  }
  for (int64_t r = 0; r < layout.runs(); ++r) {
    uint8_t* scales = panel + layout.Scales(b, r);
    if (form.super) {
      scales[j] = static_cast<uint8_t>(from.factors[r]);
    } else {
      Put(scales + 2 * j, from.scale);
    }
    uint8_t* integers = panel + layout.Integers(b, r);
    for (int64_t k = 0; k < layout.run(); ++k) {
      const uint8_t q = from.q[r * layout.run() + k];
      uint8_t& byte = integers[layout.Byte(j, k)];
      if (form.bits == 8) {
        byte = q;
        continue;
      }
      byte |= static_cast<uint8_t>((q & 15) << k / 4 % 2 * 4);
      if (form.bits == 6)
        integers[layout.UpperByte(j, k)] |= static_cast<uint8_t>(q >> 4 << Layout::UpperShift(k));
    }
  }
}

void UnpackBlock(const uint8_t* panel, const Layout& layout, int64_t b, int64_t j, float* out) {
  const NativeForm& form = layout.form;
  const auto factor = [&](int64_t at, int64_t head) {
    if (!form.super) return GetHalf(panel + at + 2 * j);
    return GetHalf(panel + head + 2 * j) * static_cast<float>(static_cast<int8_t>(panel[at + j]));
  };
  const float minimum =
      form.minimum ? factor(layout.Block(b), layout.Head(b) + 2 * layout.panel) : 0.0f;
  for (int64_t r = 0; r < layout.runs(); ++r) {
    const uint8_t* integers = panel + layout.Integers(b, r);
    const float scale = factor(layout.Scales(b, r), layout.Head(b));
    for (int64_t k = 0; k < layout.run(); ++k) {
      int q = integers[layout.Byte(j, k)];
      if (form.bits != 8) q = q >> k / 4 % 2 * 4 & 15;
      if (form.bits == 6) q |= (integers[layout.UpperByte(j, k)] >> Layout::UpperShift(k) & 3) << 4;
      const float value = scale * static_cast<float>(q - form.offset);
      *out++ = form.minimum ? value + minimum : value;
    }
  }
}

bool Finite(uint16_t half) { return (half & 0x7c00u) != 0x7c00u; }

}  // namespace

int64_t NativePanels::panels() const {
  int64_t n = 0;
  for (const NativePart& part : parts) n += part.panels;
  return n;
}

NativePanels::Place NativePanels::At(int64_t p) const {
  if (paired) return {&parts[static_cast<size_t>(p % 2)], p / 2};
  const NativePart* part = parts.data();
  while (p >= part->panels) p -= part++->panels;
  return {part, p};
}

int64_t NativePanels::FirstRow(int64_t p) const {
  const Place place = At(p);
  return place.part->first_row + place.index * panel;
}

int64_t NativePanels::Rows(int64_t p) const {
  const Place place = At(p);
  return std::min(panel, place.part->rows - place.index * panel);
}

const uint8_t* NativePanels::Panel(int64_t p) const {
  const Place place = At(p);
  return bytes.data() + place.part->at + place.index * place.part->panel_stride;
}

int64_t NativePanels::RunEnd(int64_t p) const {
  if (paired) return p + 1;
  const Place place = At(p);
  return p + place.part->panels - place.index;
}

void NativePanels::UnpackRow(int64_t row, int64_t in_features, float* out) const {
  const NativePart* part = parts.data();
  while (row >= part->first_row + part->rows) ++part;
  row -= part->first_row;
  const uint8_t* from = bytes.data() + part->at + row / panel * part->panel_stride;
  for (int64_t b = 0; b < in_features / kNativeBlock; ++b)
    UnpackBlock(from, {part->form, panel}, b, row % panel, out + b * kNativeBlock);
}

Result<NativePanels> PackNative(std::span<const MatrixPart> parts, Stacking stacking, int64_t panel,
                                ThreadTeam& team) {
  NativePanels to;
  to.panel = panel;
  to.paired = stacking == Stacking::kPaired;
  const int64_t blocks = parts[0].weight->cols() / kNativeBlock;
  int64_t rows = 0, bytes = 0;
  for (const MatrixPart& part : parts) {
    const BlockType type = BlockTypeOf(part.weight->dtype);
    NativePart made{.form = {type.bits, type.offset, type.super, type.minimum},
                    .first_row = rows,
                    .rows = part.weight->rows()};
    made.panels = (made.rows + panel - 1) / panel;
    made.at = bytes;
    made.panel_bytes = made.panel_stride = Layout{made.form, panel}.PanelBytes(blocks);
    rows += made.rows;
    bytes += made.panels * made.panel_bytes;
    to.parts.push_back(made);
  }
  if (to.paired) {
    CHECK(to.parts.size() == 2 && to.parts[0].rows == to.parts[1].rows);
    to.parts[1].at = to.parts[0].panel_bytes;
    for (NativePart& part : to.parts)
      part.panel_stride = to.parts[0].panel_bytes + to.parts[1].panel_bytes;
  }
  to.bytes = PageArray<uint8_t>(bytes);

  FirstError failed;
  team.ForRanges(to.panels(), [&](int64_t begin, int64_t end) {
    std::vector<const std::byte*> stored(static_cast<size_t>(panel));
    for (int64_t p = begin; p < end; ++p) {
      const auto [part, index] = to.At(p);
      const WeightTensor& weight = *parts[static_cast<size_t>(part - to.parts.data())].weight;
      uint8_t* at = to.bytes.data() + part->at + index * part->panel_stride;
      const int64_t first = index * panel, filled = to.Rows(p);
      for (int64_t j = 0; j < filled; ++j)
        stored[static_cast<size_t>(j)] = weight.Row(first + j).data();
      for (int64_t b = 0; b < blocks; ++b)
        for (int64_t j = 0; j < filled; ++j) {
          const BlockRun run = ReadBlockRun(weight.dtype, stored[static_cast<size_t>(j)], b);
          if (!Finite(run.scale) || !Finite(run.minimum))
            return failed.Record(part->first_row + first + j, NonFiniteError(weight, first + j));
          PackBlock(run, {part->form, panel}, b, j, at);
        }
    }
  });
  if (failed.error()) return std::unexpected(std::move(*failed.error()));
  return to;
}

}  // namespace merope::cpu

#include "backend/cpu/packed.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/integer.h"
#include "base/dtype.h"

namespace merope::cpu {

int64_t PackedMatrix::panels() const {
  if (form == WeightForm::kNative) return native.panels();
  const int64_t parts = paired ? 2 : 1;
  return parts * ((out_features / parts + panel - 1) / panel);
}

int64_t PackedMatrix::FirstRow(int64_t p) const {
  if (form == WeightForm::kNative) return native.FirstRow(p);
  return paired ? p % 2 * (out_features / 2) + p / 2 * panel : p * panel;
}

int64_t PackedMatrix::Rows(int64_t p) const {
  if (form == WeightForm::kNative) return native.Rows(p);
  const int64_t rows = paired ? out_features / 2 : out_features;
  return std::min(panel, rows - p / (paired ? 2 : 1) * panel);
}

int64_t PackedMatrix::RawSteps() const { return std::count(raw.begin(), raw.end(), 1); }

Precision PackedMatrix::precision() const {
  CHECK(integer());
  return form == WeightForm::kInt8 ? Precision::kInt8 : Precision::kInt4;
}

int64_t PackedMatrix::groups() const { return 4 * k_steps / FormatOf(precision()).group; }

int64_t PackedMatrix::InputUnits() const {
  if (form == WeightForm::kNative) return NativeUnits(in_features);
  if (!integer()) return k_steps;
  return k_steps + groups() + (form == WeightForm::kInt4 ? groups() : 1);
}

int64_t PackedMatrix::RunEnd(int64_t p, int64_t end) const {
  if (paired) return p + 1;
  return form == WeightForm::kNative ? std::min(end, native.RunEnd(p)) : end;
}

const void* PackedMatrix::Panel(int64_t p) const {
  if (form == WeightForm::kNative) return native.Panel(p);
  if (integer()) return integers.data() + p * panel_bytes;
  if (form == WeightForm::kPackedBf16) return packed.data() + p;
  return units.data() + p * k_steps * panel;
}

const void* PackedMatrix::Weights(int64_t p) const {
  const bool apart = form == WeightForm::kPackedBf16;
  return apart ? packed[static_cast<size_t>(p)].steps : Panel(p);
}

// The bf16 pair of one column in a packed step. packed-inl.h defines the positions.
uint32_t PackedMatrix::PackedPair(const PackedPanel& from, const uint8_t* step, bool is_raw,
                                  int64_t column) const {
  uint32_t pair = 0;
  if (is_raw) {
    std::memcpy(&pair, step + 4 * column, 4);
    return pair;
  }
  const int64_t vector = column / (panel / 4), first = column % (panel / 4) * 2;
  for (int64_t i = 0; i < 2; ++i) {
    const int64_t element = first + i;
    const int64_t at = element / 8 * 16 + vector % 2 * 8 + element % 8;
    const uint8_t byte = step[vector / 2 * panel + at];
    const uint8_t names = step[2 * panel + at], name = vector < 2 ? names & 0x0f : names >> 4;
    const uint32_t exponent = name == 0 ? 0u : static_cast<uint32_t>(from.base) + name;
    pair |= ((byte & 0x80u) << 8 | exponent << 7 | (byte & 0x7fu)) << (16 * i);
  }
  return pair;
}

void PackedMatrix::UnpackIntegerRow(int64_t row, float* out) const {
  const IntegerFormat format = FormatOf(precision());
  const bool int8 = form == WeightForm::kInt8;
  const int64_t column = row % panel, group_bytes = format.group * panel / (int8 ? 1 : 2);
  const uint8_t* from = integers.data() + row / panel * panel_bytes;
  for (int64_t k = 0; k < in_features; ++k) {
    const uint8_t* group = from + k / format.group * (group_bytes + 2 * panel);
    const int64_t step = k % format.group / 4, at = 4 * column + k % 4;
    uint8_t value = group[(int8 ? step : step / 2) * 4 * panel + at];
    if (!int8) value = step % 2 == 0 ? value & 0x0f : value >> 4;
    uint16_t scale;
    std::memcpy(&scale, group + group_bytes + 2 * column, 2);
    out[k] = static_cast<float>(IntegerValue(precision(), value)) * BF16ToF32(scale);
  }
}

void PackedMatrix::UnpackRow(int64_t row, float* out) const {
  CHECK(!paired);
  if (form == WeightForm::kNative) return native.UnpackRow(row, in_features, out);
  if (integer()) return UnpackIntegerRow(row, out);
  const int64_t column = row % panel;
  if (form == WeightForm::kPackedBf16) {
    const PackedPanel& from = packed[static_cast<size_t>(row / panel)];
    const uint8_t* step = from.steps;
    for (int64_t k = 0; k < k_steps; ++k) {
      const bool is_raw = from.raw[k] != 0;
      const uint32_t pair = PackedPair(from, step, is_raw, column);
      out[2 * k] = BF16ToF32(static_cast<uint16_t>(pair));
      if (2 * k + 1 < in_features) out[2 * k + 1] = BF16ToF32(static_cast<uint16_t>(pair >> 16));
      step += (is_raw ? 4 : 3) * panel;
    }
    return;
  }
  const uint32_t* at = units.data() + row / panel * k_steps * panel + column;
  if (form == WeightForm::kFp32) {
    for (int64_t k = 0; k < in_features; ++k) out[k] = std::bit_cast<float>(at[k * panel]);
  } else {
    for (int64_t k = 0; k < in_features; ++k) {
      const uint32_t pair = at[k / 2 * panel];
      out[k] = BF16ToF32(static_cast<uint16_t>(k % 2 == 0 ? pair : pair >> 16));
    }
  }
}

int64_t PaddedDim(int64_t head_dim) {
  return (head_dim + kDimMultiple - 1) / kDimMultiple * kDimMultiple;
}

PackedKv::PackedKv(const KvShape& kv_shape, int64_t pages, KvForm kv_form)
    : form(kv_form), padded_dim(PaddedDim(kv_shape.head_dim)) {
  shape = kv_shape;
  n_pages = pages;
  units = PageArray<uint32_t>(pages * shape.n_layers * LayerUnits() + kOverread);
}

int64_t PackedKv::KUnits() const {
  if (form == KvForm::kInt8) return ((shape.head_dim + 3) / 4 + 1) * kPageTokens;  // + 1: scales
  return shape.head_dim * kPageTokens / (form == KvForm::kFp32 ? 1 : 2);
}

int64_t PackedKv::VUnits() const {
  if (form == KvForm::kInt8) return padded_dim * kPageTokens / 4 + kPageTokens;
  return padded_dim * kPageTokens / (form == KvForm::kFp32 ? 1 : 2);
}

int64_t PackedKv::VStride() const {
  return VUnits() + (padded_dim % kOverread == 0 ? 0 : kOverread);
}

uint32_t* PackedKv::K(int64_t page, int64_t layer, int64_t head) {
  return units.data() + (page * shape.n_layers + layer) * LayerUnits() + head * KUnits();
}

uint32_t* PackedKv::V(int64_t page, int64_t layer, int64_t head) {
  return K(page, layer, shape.n_kv_heads) + head * VStride();
}

void PackedKv::ClearOnFirst(int64_t page, int64_t layer, int64_t head, int64_t slot) {
  if (slot != 0) return;
  std::fill_n(K(page, layer, head), KUnits(), 0u);
  std::fill_n(V(page, layer, head), VUnits(), 0u);
}

void PackedKv::StoreQuantized(int64_t page, int64_t layer, int64_t head, int64_t slot,
                              const uint32_t* k, const uint32_t* v) {
  ClearOnFirst(page, layer, head, slot);
  const int64_t steps = (shape.head_dim + 3) / 4;
  uint32_t* k_block = K(page, layer, head);
  for (int64_t i = 0; i < steps; ++i)
    k_block[i * kPageTokens + slot] = k[i] ^ 0x80808080u;  // plus 128, byte by byte
  k_block[steps * kPageTokens + slot] = k[steps + 1];
  uint32_t* v_block = V(page, layer, head);
  auto* v_bytes = reinterpret_cast<uint8_t*>(v_block + slot / 4 * padded_dim) + slot % 4;
  const auto* from = reinterpret_cast<const uint8_t*>(v);
  for (int64_t e = 0; e < shape.head_dim; ++e) v_bytes[4 * e] = from[e];
  v_block[padded_dim * kPageTokens / 4 + slot] = v[steps + 1];
}

void PackedKv::Store(int64_t page, int64_t layer, int64_t head, int64_t slot, const float* k,
                     const float* v) {
  ClearOnFirst(page, layer, head, slot);
  uint32_t* k_at = K(page, layer, head) + slot;
  for (int64_t e = 0; e < shape.head_dim; ++e)
    k_at[e * kPageTokens] = std::bit_cast<uint32_t>(k[e]);
  std::memcpy(V(page, layer, head) + slot * padded_dim, v,
              static_cast<size_t>(shape.head_dim) * sizeof(float));
}

void PackedKv::StorePairs(int64_t page, int64_t layer, int64_t head, int64_t slot, int64_t from,
                          int64_t n, const uint32_t* k, const uint32_t* v) {
  if (from == 0) ClearOnFirst(page, layer, head, slot);
  uint32_t* k_at = K(page, layer, head) + from / 2 * kPageTokens + slot;
  for (int64_t i = 0; 2 * i < n; ++i) k_at[i * kPageTokens] = k[i];
  uint32_t* v_at = V(page, layer, head) + slot / 2 * padded_dim + from;
  auto* to = reinterpret_cast<std::byte*>(v_at) + slot % 2 * 2;  // the low or the high halves
  const auto* values = reinterpret_cast<const std::byte*>(v);
  for (int64_t i = 0; i < n; ++i) std::memcpy(to + 4 * i, values + 2 * i, 2);
}

}  // namespace merope::cpu

#include "backend/cpu/packed.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/integer.h"
#include "backend/weights.h"

namespace merope::cpu {
namespace {

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

constexpr int64_t kPackBlock = 16;  // k steps; blocks keep the strided writes in the cache

// rows (panel, stride) of fp32 to one panel of fp32 bits or bf16 pairs. Blocks of k keep the
// strided writes in the cache.
void PackPanel(const float* rows, int64_t stride, const PackedMatrix& matrix, uint32_t* out) {
  const bool bf16 = matrix.form != WeightForm::kFp32;
  for (int64_t begin = 0; begin < matrix.k_steps; begin += kPackBlock) {
    const int64_t end = std::min(begin + kPackBlock, matrix.k_steps);
    for (int64_t j = 0; j < matrix.panel; ++j) {
      const float* row = rows + j * stride;
      for (int64_t k = begin; k < end; ++k)
        out[k * matrix.panel + j] =
            bf16 ? F32ToBF16(row[2 * k]) | uint32_t{F32ToBF16(row[2 * k + 1])} << 16
                 : std::bit_cast<uint32_t>(row[k]);
    }
  }
}

IntegerFormat FormatOfForm(WeightForm form) {
  return form == WeightForm::kInt8 ? kInt8Format : kInt4Format;
}
Precision PrecisionOfForm(WeightForm form) {
  return form == WeightForm::kInt8 ? Precision::kInt8 : Precision::kInt4;
}

// The codes of a group and its scale, to column j of a panel's group.
void PutGroup(const uint8_t* codes, uint16_t scale, const PackedMatrix& matrix, int64_t j,
              uint8_t* group) {
  const bool int8 = matrix.form == WeightForm::kInt8;
  const int64_t panel = matrix.panel, step_bytes = 4 * panel, n = FormatOfForm(matrix.form).group;
  std::memcpy(group + n * panel / (int8 ? 1 : 2) + 2 * j, &scale, 2);
  for (int64_t k = 0; k < n; ++k) {
    const int64_t step = k / 4, at = 4 * j + k % 4;
    if (int8) {
      group[step * step_bytes + at] = codes[k];
    } else if (step % 2 == 0) {
      group[step / 2 * step_bytes + at] = codes[k];
    } else {
      group[step / 2 * step_bytes + at] |= static_cast<uint8_t>(codes[k] << 4);
    }
  }
}

// rows (panel, stride) of fp32, padded to whole groups, to a panel of integers.
void PackIntegerPanel(const float* rows, int64_t stride, const PackedMatrix& matrix, uint8_t* out) {
  const int64_t n = FormatOfForm(matrix.form).group, bytes = matrix.panel_bytes / matrix.groups();
  uint8_t codes[64];
  for (int64_t g = 0; g < matrix.groups(); ++g)
    for (int64_t j = 0; j < matrix.panel; ++j) {
      const std::span group(rows + j * stride + g * n, static_cast<size_t>(n));
      const uint16_t scale = F32ToBF16(QuantizeWeights(group, PrecisionOfForm(matrix.form), codes));
      PutGroup(codes, scale, matrix, j, out + g * bytes);
    }
}

// The error of the first of these rows that holds a scale that is no finite number.
Error BadScale(std::span<const MatrixPart> parts, int64_t first, int64_t n) {
  std::vector<float> row(static_cast<size_t>(parts[0].weight->cols()));
  for (int64_t j = first; j < first + n; ++j)
    if (Status decoded = DecodeStackedRow(parts, j, row); !decoded) return decoded.error();
  return Error("weight " + parts[0].weight->name + ": a scale is not finite");
}

// The same for rows that are such integers already. False where a scale is no finite number.
bool PackIntegerPanel(std::span<const std::byte* const> rows, const PackedMatrix& matrix,
                      uint8_t* out) {
  const DType dtype = IntegerType(PrecisionOfForm(matrix.form));
  const int64_t bytes = matrix.panel_bytes / matrix.groups();
  uint8_t codes[64];
  for (int64_t g = 0; g < matrix.groups(); ++g)
    for (size_t j = 0; j < rows.size(); ++j) {
      const uint16_t scale = ReadIntegerBlock(dtype, rows[j] + g * BlockBytes(dtype), codes);
      if ((scale & 0x7f80u) == 0x7f80u) return false;
      PutGroup(codes, scale, matrix, static_cast<int64_t>(j), out + g * bytes);
    }
  return true;
}

}  // namespace

int64_t PackedMatrix::panels() const {
  if (form == WeightForm::kStored) return stored.panels();
  const int64_t parts = paired ? 2 : 1;
  return parts * ((out_features / parts + panel - 1) / panel);
}

int64_t PackedMatrix::FirstRow(int64_t p) const {
  if (form == WeightForm::kStored) return stored.FirstRow(p);
  return paired ? p % 2 * (out_features / 2) + p / 2 * panel : p * panel;
}

int64_t PackedMatrix::Rows(int64_t p) const {
  if (form == WeightForm::kStored) return stored.Rows(p);
  const int64_t rows = paired ? out_features / 2 : out_features;
  return std::min(panel, rows - p / (paired ? 2 : 1) * panel);
}

int64_t PackedMatrix::RawSteps() const { return std::count(raw.begin(), raw.end(), 1); }

int64_t PackedMatrix::groups() const { return 4 * k_steps / FormatOfForm(form).group; }

int64_t PackedMatrix::InputUnits() const {
  if (form == WeightForm::kStored) return StoredUnits(in_features);
  if (!integer()) return k_steps;
  return k_steps + groups() + (form == WeightForm::kInt4 ? groups() : 1);
}

int64_t PackedMatrix::RunEnd(int64_t p, int64_t end) const {
  if (paired) return p + 1;
  return form == WeightForm::kStored ? std::min(end, stored.RunEnd(p)) : end;
}

const void* PackedMatrix::Panel(int64_t p) const {
  if (form == WeightForm::kStored) return stored.Panel(p);
  if (integer()) return integers.data() + p * panel_bytes;
  if (form == WeightForm::kPackedBf16) return packed.data() + p;
  return units.data() + p * k_steps * panel;
}

// The place of a column's pair in a packed step: packed-inl.h puts it there.
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
  const IntegerFormat format = FormatOfForm(form);
  const bool int8 = form == WeightForm::kInt8;
  const Precision precision = PrecisionOfForm(form);
  const int64_t column = row % panel, group_bytes = format.group * panel / (int8 ? 1 : 2);
  const uint8_t* from = integers.data() + row / panel * panel_bytes;
  for (int64_t k = 0; k < in_features; ++k) {
    const uint8_t* group = from + k / format.group * (group_bytes + 2 * panel);
    const int64_t step = k % format.group / 4, at = 4 * column + k % 4;
    uint8_t value = group[(int8 ? step : step / 2) * 4 * panel + at];
    if (!int8) value = step % 2 == 0 ? value & 0x0f : value >> 4;
    uint16_t scale;
    std::memcpy(&scale, group + group_bytes + 2 * column, 2);
    out[k] = static_cast<float>(IntegerValue(precision, value)) * BF16ToF32(scale);
  }
}

void PackedMatrix::UnpackRow(int64_t row, float* out) const {
  CHECK(!paired);
  if (form == WeightForm::kStored) return stored.UnpackRow(row, in_features, out);
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

Result<std::unique_ptr<PackedMatrix>> Pack(std::span<const MatrixPart> parts, Stacking stacking,
                                           WeightForm form, const MatMulKernels& kernels,
                                           ThreadTeam& team) {
  auto matrix = std::make_unique<PackedMatrix>();
  TRY_ASSIGN(matrix->out_features, StackedRows(parts));
  const int64_t panel = kernels.panel;
  matrix->in_features = parts[0].weight->cols();
  matrix->form = form;
  matrix->panel = panel;
  matrix->paired = stacking == Stacking::kPaired;
  CHECK(!matrix->paired ||
        (parts.size() == 2 && parts[0].weight->rows() == parts[1].weight->rows()));
  const bool bf16 = form == WeightForm::kBf16 || form == WeightForm::kPackedBf16;
  const bool packed = form == WeightForm::kPackedBf16, integer = matrix->integer();
  // A row's values, padded to whole steps.
  int64_t stride = bf16 ? RoundUp(matrix->in_features, 2) : matrix->in_features;
  matrix->k_steps = bf16 ? stride / 2 : stride;
  if (integer) {
    const int64_t group = FormatOfForm(form).group;
    stride = RoundUp(matrix->in_features, group);
    matrix->k_steps = stride / 4;
    matrix->panel_bytes =
        panel * (stride / (form == WeightForm::kInt8 ? 1 : 2) + stride / group * 2);
  }
  if (form == WeightForm::kStored) {
    matrix->k_steps = matrix->in_features / 4;
    TRY_ASSIGN(matrix->stored, PackStored(parts, stacking, panel, team));
  }
  const int64_t panels = matrix->panels(), panel_units = matrix->k_steps * panel;
  TRY_ASSIGN(const std::vector<float> bias, StackedBias(parts));
  if (!bias.empty()) {
    matrix->bias.resize(static_cast<size_t>(panels * panel));
    for (int64_t p = 0; p < panels; ++p)
      std::copy_n(bias.data() + matrix->FirstRow(p), matrix->Rows(p),
                  matrix->bias.data() + p * panel);
  }
  if (form == WeightForm::kStored) {
    matrix->bytes =
        static_cast<int64_t>(matrix->stored.bytes.bytes() + matrix->bias.size() * sizeof(float));
    return matrix;
  }
  if (packed) {
    matrix->steps.resize(static_cast<size_t>(team.size()));
    matrix->packed.resize(static_cast<size_t>(panels));
    matrix->raw.resize(static_cast<size_t>(panels * matrix->k_steps));
  } else if (integer) {
    matrix->integers = PageArray<uint8_t>(panels * matrix->panel_bytes);
  } else {
    matrix->units = PageArray<uint32_t>(panels * panel_units);
  }

  const bool own = integer && AllOf(parts, IntegerType(PrecisionOfForm(form)));
  const bool as_stored =
      bf16 && std::all_of(parts.begin(), parts.end(), [](const MatrixPart& part) {
        return part.weight->dtype == DType::kBF16 && !part.turn;
      });
  FirstError failed;
  team.Run([&](int thread) {
    const int64_t begin = panels * thread / team.size(), end = panels * (thread + 1) / team.size();
    std::vector<float> rows(as_stored || own ? 0 : static_cast<size_t>(panel * stride));
    std::vector<const std::byte*> stored(static_cast<size_t>(panel));
    std::vector<uint32_t> plain(packed ? static_cast<size_t>(panel_units) : 0);
    PageArray<uint8_t> bytes(packed ? (end - begin) * panel_units * 4 : 0);
    int64_t written = 0;
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = matrix->FirstRow(p), filled = matrix->Rows(p);
      uint32_t* out = packed    ? plain.data()
                      : integer ? nullptr
                                : matrix->units.data() + p * panel_units;
      if (packed && filled < panel) std::ranges::fill(plain, 0u);
      if (as_stored || own) {
        for (int64_t j = 0; j < filled; ++j)
          stored[static_cast<size_t>(j)] = StoredRow(parts, first + j).data();
      }
      if (own) {
        const std::span filled_rows(stored.data(), static_cast<size_t>(filled));
        if (!PackIntegerPanel(filled_rows, *matrix,
                              matrix->integers.data() + p * matrix->panel_bytes))
          return failed.Record(first, BadScale(parts, first, filled));
      } else if (as_stored) {
        const int64_t whole = matrix->in_features / 2;
        const bool finite = kernels.interleave(stored.data(), filled, whole, out);
        for (int64_t j = 0; j < filled; ++j) {
          if (whole < matrix->k_steps)  // the odd last one, beside a zero
            std::memcpy(&out[whole * panel + j], stored[static_cast<size_t>(j)] + 4 * whole, 2);
          if (finite && whole == matrix->k_steps) break;
          if (Status checked = CheckBf16Row(parts, first + j); !checked)
            return failed.Record(first + j, std::move(checked).error());
        }
      } else {
        if (filled < panel) std::fill(rows.begin(), rows.end(), 0.0f);
        for (int64_t j = 0; j < filled; ++j) {
          const std::span row(rows.data() + j * stride, static_cast<size_t>(matrix->in_features));
          if (Status decoded = DecodeStackedRow(parts, first + j, row); !decoded)
            return failed.Record(first + j, std::move(decoded).error());
        }
        if (integer) {
          PackIntegerPanel(rows.data(), stride, *matrix,
                           matrix->integers.data() + p * matrix->panel_bytes);
        } else {
          PackPanel(rows.data(), stride, *matrix, out);
        }
      }
      if (!packed) continue;
      PackedPanel& to = matrix->packed[static_cast<size_t>(p)];
      uint8_t* raw = matrix->raw.data() + p * matrix->k_steps;
      to.steps = bytes.data() + written;
      to.raw = raw;
      written += kernels.pack(out, matrix->k_steps, &to.base, raw, bytes.data() + written);
    }
    if (!packed) return;
    bytes.Truncate(written);
    matrix->steps[static_cast<size_t>(thread)] = std::move(bytes);
  });
  if (failed.error()) return std::unexpected(std::move(*failed.error()));
  matrix->bytes = static_cast<int64_t>(matrix->units.bytes() + matrix->integers.bytes() +
                                       matrix->raw.size() + matrix->bias.size() * sizeof(float));
  for (const auto& bytes : matrix->steps) matrix->bytes += static_cast<int64_t>(bytes.bytes());
  return matrix;
}

int64_t PaddedDim(int64_t head_dim) { return RoundUp(head_dim, kDimMultiple); }

PackedKv::PackedKv(const KvShape& kv_shape, int64_t pages, KvForm kv_form)
    : form(kv_form), padded_dim(PaddedDim(kv_shape.head_dim)) {
  shape = kv_shape;
  n_pages = pages;
  units = PageArray<uint32_t>(pages * shape.n_layers * shape.n_kv_heads * HeadUnits() + kOverread);
}

int64_t PackedKv::KUnits() const {
  if (form == KvForm::kInt8) return ((shape.head_dim + 3) / 4 + 1) * kPageTokens;  // and scales
  return shape.head_dim * kPageTokens / (form == KvForm::kFp32 ? 1 : 2);
}

int64_t PackedKv::VUnits() const {
  if (form == KvForm::kInt8) return padded_dim * kPageTokens / 4 + kPageTokens;
  return padded_dim * kPageTokens / (form == KvForm::kFp32 ? 1 : 2);
}

int64_t PackedKv::HeadUnits() const {
  return KUnits() + VUnits() + (padded_dim % kOverread == 0 ? 0 : kOverread);
}

uint32_t* PackedKv::K(int64_t page, int64_t layer, int64_t head) {
  const int64_t block = (page * shape.n_layers + layer) * shape.n_kv_heads + head;
  return units.data() + block * HeadUnits();
}

void PackedKv::ClearOnFirst(int64_t page, int64_t layer, int64_t head, int64_t slot) {
  if (slot == 0) std::fill_n(K(page, layer, head), KUnits() + VUnits(), 0u);
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
  uint32_t* k_block = K(page, layer, head);
  uint32_t* v_block = V(page, layer, head);
  ClearOnFirst(page, layer, head, slot);
  if (form == KvForm::kFp32) {
    for (int64_t e = 0; e < shape.head_dim; ++e) {
      k_block[e * kPageTokens + slot] = std::bit_cast<uint32_t>(k[e]);
      v_block[slot * padded_dim + e] = std::bit_cast<uint32_t>(v[e]);
    }
    return;
  }
  for (int64_t e = 0; e < shape.head_dim; e += 2)
    k_block[e / 2 * kPageTokens + slot] = F32ToBF16(k[e]) | uint32_t{F32ToBF16(k[e + 1])} << 16;
  const int shift = slot % 2 == 0 ? 0 : 16;
  uint32_t* v_row = v_block + slot / 2 * padded_dim;
  for (int64_t e = 0; e < shape.head_dim; ++e)
    v_row[e] = (v_row[e] & ~(0xffffu << shift)) | uint32_t{F32ToBF16(v[e])} << shift;
}

}  // namespace merope::cpu

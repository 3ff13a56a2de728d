#include "backend/cpu/packer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "backend/integer.h"
#include "backend/weights.h"

namespace merope::cpu {
namespace {

constexpr int64_t kRoom = int64_t{64} << 20;  // whole huge pages
constexpr int64_t kBlock = 16;  // k steps; blocks keep the strided writes within the CPU's caches

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

bool IsBf16(WeightForm form) {
  return form == WeightForm::kBf16 || form == WeightForm::kPackedBf16;
}

// Writes rows (panel, stride) of fp32 as one panel of fp32 bits or bf16 pairs.
void PutPanel(const float* rows, int64_t stride, const PackedMatrix& matrix, uint32_t* out) {
  const bool bf16 = IsBf16(matrix.form);
  for (int64_t begin = 0; begin < matrix.k_steps; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, matrix.k_steps);
    for (int64_t j = 0; j < matrix.panel; ++j) {
      const float* row = rows + j * stride;
      for (int64_t k = begin; k < end; ++k)
        out[k * matrix.panel + j] =
            bf16 ? F32ToBF16(row[2 * k]) | uint32_t{F32ToBF16(row[2 * k + 1])} << 16
                 : std::bit_cast<uint32_t>(row[k]);
    }
  }
}

// Writes the codes and the scale of a group to column j of the group in a panel.
void PutGroup(const uint8_t* codes, uint16_t scale, const PackedMatrix& matrix, int64_t j,
              uint8_t* group) {
  const bool int8 = matrix.form == WeightForm::kInt8;
  const int64_t panel = matrix.panel, step_bytes = 4 * panel;
  const int64_t n = FormatOf(matrix.precision()).group;
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

// Quantizes rows (panel, stride) of fp32, padded to whole groups, to a panel of integers.
void QuantizePanel(const float* rows, int64_t stride, const PackedMatrix& matrix, uint8_t* out) {
  const Precision precision = matrix.precision();
  const int64_t n = FormatOf(precision).group, bytes = matrix.panel_bytes / matrix.groups();
  uint8_t codes[64];
  for (int64_t g = 0; g < matrix.groups(); ++g)
    for (int64_t j = 0; j < matrix.panel; ++j) {
      const std::span group(rows + j * stride + g * n, static_cast<size_t>(n));
      const uint16_t scale = F32ToBF16(QuantizeWeights(group, precision, codes));
      PutGroup(codes, scale, matrix, j, out + g * bytes);
    }
}

// The error for the first of the rows [first, first + n) that has a scale that is not finite.
Error BadScale(std::span<const MatrixPart> parts, int64_t first, int64_t n) {
  std::vector<float> row(static_cast<size_t>(parts[0].weight->cols()));
  for (int64_t j = first; j < first + n; ++j)
    if (Status decoded = DecodeStackedRow(parts, j, row); !decoded) return decoded.error();
  return Error("weight " + parts[0].weight->name + ": a scale is not finite");
}

}  // namespace

Packer::Packer(const MatMulKernels& kernels, ThreadTeam& team)
    : kernels_(kernels), team_(team), threads_(static_cast<size_t>(team.size())) {}

void Packer::DropRoom() {
  for (Thread& thread : threads_) thread.room.reset();
}

Result<std::unique_ptr<PackedMatrix>> Packer::Pack(std::span<const MatrixPart> parts,
                                                   Stacking stacking, WeightForm form) {
  auto matrix = std::make_unique<PackedMatrix>();
  TRY_ASSIGN(matrix->out_features, StackedRows(parts));
  const int64_t panel = kernels_.panel;
  matrix->in_features = parts[0].weight->cols();
  matrix->form = form;
  matrix->panel = panel;
  matrix->paired = stacking == Stacking::kPaired;
  CHECK(!matrix->paired ||
        (parts.size() == 2 && parts[0].weight->rows() == parts[1].weight->rows()));
  Job job{parts, Source::kValues, matrix->in_features, matrix.get()};
  matrix->k_steps = job.stride;
  if (IsBf16(form)) {
    job.stride = RoundUp(matrix->in_features, 2);
    matrix->k_steps = job.stride / 2;
    if (AllOf(parts, DType::kBF16)) job.source = Source::kBf16;
  } else if (matrix->integer()) {
    const int64_t group = FormatOf(matrix->precision()).group;
    job.stride = RoundUp(matrix->in_features, group);
    matrix->k_steps = job.stride / 4;
    matrix->panel_bytes =
        panel * (job.stride / (form == WeightForm::kInt8 ? 1 : 2) + job.stride / group * 2);
    if (AllOf(parts, IntegerType(matrix->precision()))) job.source = Source::kIntegers;
  } else if (form == WeightForm::kNative) {
    matrix->k_steps = matrix->in_features / 4;
    TRY_ASSIGN(matrix->native, PackNative(parts, stacking, panel, team_));
  }

  const int64_t panels = matrix->panels();
  TRY_ASSIGN(const std::vector<float> bias, StackedBias(parts));
  if (!bias.empty()) {
    matrix->bias.resize(static_cast<size_t>(panels * panel));
    for (int64_t p = 0; p < panels; ++p)
      std::copy_n(bias.data() + matrix->FirstRow(p), matrix->Rows(p),
                  matrix->bias.data() + p * panel);
  }
  if (form == WeightForm::kPackedBf16) {
    matrix->packed.resize(static_cast<size_t>(panels));
    matrix->raw.resize(static_cast<size_t>(panels * matrix->k_steps));
  } else if (matrix->integer()) {
    matrix->integers = PageArray<uint8_t>(panels * matrix->panel_bytes);
  } else if (form != WeightForm::kNative) {
    matrix->units = PageArray<uint32_t>(panels * matrix->k_steps * panel);
  }
  if (form != WeightForm::kNative) {
    for (Thread& thread : threads_) {
      thread.rows.resize(static_cast<size_t>(panel));
      if (job.source == Source::kValues)
        thread.values.assign(static_cast<size_t>(panel * job.stride), 0.0f);
      if (form == WeightForm::kPackedBf16)
        thread.plain.resize(static_cast<size_t>(matrix->k_steps * panel));
    }
    FirstError failed;
    team_.ForEach(panels, [&](int thread, int64_t p) {
      if (Status packed = PackPanel(job, p, threads_[static_cast<size_t>(thread)]); !packed)
        failed.Record(matrix->FirstRow(p), std::move(packed).error());
    });
    for (Thread& thread : threads_) {
      for (auto& filled : thread.filled) matrix->steps.push_back(std::move(filled));
      thread.filled.clear();
      matrix->bytes += std::exchange(thread.bytes, 0);
    }
    if (failed.error()) return std::unexpected(std::move(*failed.error()));
  }
  matrix->bytes += static_cast<int64_t>(matrix->units.bytes() + matrix->integers.bytes() +
                                        matrix->native.bytes.bytes() + matrix->raw.size() +
                                        matrix->bias.size() * sizeof(float));
  return matrix;
}

Status Packer::PackPanel(const Job& job, int64_t p, Thread& thread) const {
  PackedMatrix& matrix = *job.matrix;
  if (matrix.integer())
    return PackIntegers(job, p, thread, matrix.integers.data() + p * matrix.panel_bytes);
  const bool packed = matrix.form == WeightForm::kPackedBf16;
  uint32_t* out =
      packed ? thread.plain.data() : matrix.units.data() + p * matrix.k_steps * matrix.panel;
  if (job.source == Source::kBf16) {
    if (packed && matrix.Rows(p) < matrix.panel) std::ranges::fill(thread.plain, 0u);
    TRY(PackBf16(job, p, thread, out));
  } else {
    TRY(Decode(job, p, thread));
    PutPanel(thread.values.data(), job.stride, matrix, out);
  }
  if (packed) Compress(job, p, thread);
  return {};
}

// Packs rows that the checkpoint stores in bf16, without decoding them.
Status Packer::PackBf16(const Job& job, int64_t p, Thread& thread, uint32_t* out) const {
  const PackedMatrix& matrix = *job.matrix;
  const int64_t first = matrix.FirstRow(p), filled = matrix.Rows(p);
  const int64_t whole = matrix.in_features / 2;
  for (int64_t j = 0; j < filled; ++j)
    thread.rows[static_cast<size_t>(j)] = StoredRow(job.parts, first + j).data();
  const bool finite = kernels_.interleave(thread.rows.data(), filled, whole, out);
  for (int64_t j = 0; j < filled; ++j) {
    if (whole < matrix.k_steps)  // the last value of an odd number is paired with zero
      std::memcpy(&out[whole * matrix.panel + j], thread.rows[static_cast<size_t>(j)] + 4 * whole,
                  2);
    if (finite && whole == matrix.k_steps) break;
    TRY(CheckBf16Row(job.parts, first + j));
  }
  return {};
}

// Quantizes rows to integers, or takes integers that the checkpoint stores without a change.
Status Packer::PackIntegers(const Job& job, int64_t p, Thread& thread, uint8_t* out) const {
  const PackedMatrix& matrix = *job.matrix;
  if (job.source == Source::kValues) {
    TRY(Decode(job, p, thread));
    QuantizePanel(thread.values.data(), job.stride, matrix, out);
    return {};
  }
  const int64_t first = matrix.FirstRow(p), filled = matrix.Rows(p);
  for (int64_t j = 0; j < filled; ++j)
    thread.rows[static_cast<size_t>(j)] = StoredRow(job.parts, first + j).data();
  const DType dtype = IntegerType(matrix.precision());
  const int64_t bytes = matrix.panel_bytes / matrix.groups();
  uint8_t codes[64];
  for (int64_t g = 0; g < matrix.groups(); ++g)
    for (int64_t j = 0; j < filled; ++j) {
      const std::byte* block = thread.rows[static_cast<size_t>(j)] + g * BlockBytes(dtype);
      const uint16_t scale = ReadIntegerBlock(dtype, block, codes);
      if ((scale & 0x7f80u) == 0x7f80u) return std::unexpected(BadScale(job.parts, first, filled));
      PutGroup(codes, scale, matrix, j, out + g * bytes);
    }
  return {};
}

// Decodes the panel's rows to fp32 values. Columns that are no rows become zero.
Status Packer::Decode(const Job& job, int64_t p, Thread& thread) const {
  const PackedMatrix& matrix = *job.matrix;
  const int64_t first = matrix.FirstRow(p), filled = matrix.Rows(p);
  if (filled < matrix.panel) std::ranges::fill(thread.values, 0.0f);
  for (int64_t j = 0; j < filled; ++j)
    TRY(DecodeStackedRow(
        job.parts, first + j,
        {thread.values.data() + j * job.stride, static_cast<size_t>(matrix.in_features)}));
  return {};
}

// Packs the plain bf16 panel to 12 bits per weight.
void Packer::Compress(const Job& job, int64_t p, Thread& thread) const {
  PackedMatrix& matrix = *job.matrix;
  const int64_t most = matrix.k_steps * matrix.panel * 4;
  if (thread.room == nullptr || thread.used + most > thread.room->size()) {
    thread.room = std::make_shared<PageArray<uint8_t>>(RoundUp(most, kRoom));
    thread.used = 0;
  }
  if (thread.filled.empty() || thread.filled.back() != thread.room)
    thread.filled.push_back(thread.room);
  PackedPanel& to = matrix.packed[static_cast<size_t>(p)];
  uint8_t* steps = thread.room->data() + thread.used;
  uint8_t* raw = matrix.raw.data() + p * matrix.k_steps;
  to.steps = steps;
  to.raw = raw;
  const int64_t written = kernels_.pack(thread.plain.data(), matrix.k_steps, &to.base, raw, steps);
  thread.used += written;
  thread.bytes += written;
}

}  // namespace merope::cpu

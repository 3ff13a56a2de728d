#include "backend/weights.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace merope {
namespace {

// found: a value of the row has an exponent of all ones (NaN or infinity).
Status RefuseNonFinite(const WeightTensor& tensor, int64_t row, bool found) {
  if (!found) return {};
  return std::unexpected(NonFiniteError(tensor, row));
}

// The loops have no early exit, so that the compiler can use vectors.
bool HasNonFinite(std::span<const float> values) {
  uint32_t found = 0;
  for (const float value : values)
    found |= static_cast<uint32_t>((std::bit_cast<uint32_t>(value) & 0x7f800000u) == 0x7f800000u);
  return found != 0;
}

bool HasNonFiniteBf16(std::span<const std::byte> bytes) {
  uint16_t found = 0;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    uint16_t value;
    std::memcpy(&value, bytes.data() + i, 2);
    found |= static_cast<uint16_t>((value & 0x7f80u) == 0x7f80u);
  }
  return found != 0;
}

// The part that holds row `row` of the stack, and the index of the row in this part.
std::pair<const MatrixPart&, int64_t> Locate(std::span<const MatrixPart> parts, int64_t row) {
  size_t part = 0;
  while (row >= parts[part].weight->rows()) row -= parts[part++].weight->rows();
  return {parts[part], row};
}

}  // namespace

Error NonFiniteError(const WeightTensor& tensor, int64_t row) {
  return Error{fmt::format("weight {}: row {}: expected finite values, found NaN or infinity",
                           tensor.name, row)};
}

void FirstError::Record(int64_t row, Error error) {
  const std::lock_guard lock(mutex_);
  if (error_ && row >= row_) return;
  row_ = row;
  error_ = std::move(error);
}

Result<int64_t> StackedRows(std::span<const MatrixPart> parts) {
  CHECK(!parts.empty());
  int64_t rows = 0;
  for (const MatrixPart& part : parts) {
    if (part.weight->cols() != parts[0].weight->cols())
      return Err("weight {}: expected {} columns as in {}, found {}", part.weight->name,
                 parts[0].weight->cols(), parts[0].weight->name, part.weight->cols());
    if (part.bias != nullptr && part.bias->elements() != part.weight->rows())
      return Err("weight {}: expected {} values, found {}", part.bias->name, part.weight->rows(),
                 part.bias->elements());
    rows += part.weight->rows();
  }
  return rows;
}

bool AllQuantized(std::span<const MatrixPart> parts) {
  return std::ranges::all_of(
      parts, [](const MatrixPart& part) { return IsQuantized(part.weight->dtype); });
}

bool AllOf(std::span<const MatrixPart> parts, DType dtype) {
  return std::ranges::all_of(
      parts, [dtype](const MatrixPart& part) { return part.weight->dtype == dtype; });
}

Status DecodeStackedRow(std::span<const MatrixPart> parts, int64_t row, std::span<float> out) {
  const auto [part, part_row] = Locate(parts, row);
  part.weight->DecodeRow(part_row, out);
  TRY(RefuseNonFinite(*part.weight, part_row, HasNonFinite(out)));
  return {};
}

std::span<const std::byte> StoredRow(std::span<const MatrixPart> parts, int64_t row) {
  const auto [part, part_row] = Locate(parts, row);
  return part.weight->Row(part_row);
}

Status CheckBf16Row(std::span<const MatrixPart> parts, int64_t row) {
  const auto [part, part_row] = Locate(parts, row);
  return RefuseNonFinite(*part.weight, part_row, HasNonFiniteBf16(part.weight->Row(part_row)));
}

Result<std::vector<float>> DecodeVector(const WeightTensor& vector) {
  std::vector<float> values(static_cast<size_t>(vector.elements()));
  vector.DecodeRow(0, values);
  TRY(RefuseNonFinite(vector, 0, HasNonFinite(values)));
  return values;
}

Result<std::vector<float>> StackedBias(std::span<const MatrixPart> parts) {
  std::vector<float> all;
  bool any = false;
  for (const MatrixPart& part : parts) {
    if (part.bias == nullptr) {
      all.resize(all.size() + static_cast<size_t>(part.weight->rows()), 0.0f);
    } else {
      TRY_ASSIGN(const std::vector<float> bias, DecodeVector(*part.bias));
      all.insert(all.end(), bias.begin(), bias.end());
      any = true;
    }
  }
  if (!any) all.clear();
  return all;
}

}  // namespace merope

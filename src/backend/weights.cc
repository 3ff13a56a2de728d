#include "backend/weights.h"

#include <bit>

namespace merope {
namespace {

Status RefuseNonFinite(const TensorView& tensor, int64_t row, std::span<const float> values) {
  // An exponent of all ones is NaN or infinity. Without an early exit the loop runs on vectors.
  uint32_t found = 0;
  for (const float value : values)
    found |= static_cast<uint32_t>((std::bit_cast<uint32_t>(value) & 0x7f800000u) == 0x7f800000u);
  if (found == 0) return {};
  return Err("weight {}: row {}: expected finite values, found NaN or infinity", tensor.name, row);
}

}  // namespace

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

Status DecodeStackedRow(std::span<const MatrixPart> parts, int64_t row, std::span<float> out) {
  size_t part = 0;
  while (row >= parts[part].weight->rows()) row -= parts[part++].weight->rows();
  const TensorView& weight = *parts[part].weight;
  weight.DecodeRow(row, out);
  return RefuseNonFinite(weight, row, out);
}

Result<std::vector<float>> DecodeVector(const TensorView& vector) {
  std::vector<float> values(static_cast<size_t>(vector.elements()));
  if (vector.permuted_heads > 0) {  // a bias whose elements follow its matrix's permuted rows
    TensorView column = vector;
    column.shape = {vector.elements(), 1};
    for (int64_t i = 0; i < vector.elements(); ++i)
      column.DecodeRow(i, std::span(values).subspan(static_cast<size_t>(i), 1));
  } else {
    vector.DecodeRow(0, values);
  }
  TRY(RefuseNonFinite(vector, 0, values));
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

#include "model/rotation.h"

#include <array>
#include <cmath>
#include <random>

#include "backend/weights.h"

namespace merope {
namespace {

constexpr uint64_t kSeed = 350;

// Each block of `block` rows (of `width` values) of a matrix is mixed by the Hadamard matrix; with
// a width of 1 that is a row of numbers.
void MixRows(float* values, int64_t rows, int64_t width, int64_t block) {
  for (int64_t begin = 0; begin < rows; begin += block)
    for (int64_t half = 1; half < block; half *= 2)
      for (int64_t i = begin; i < begin + block; i += 2 * half)
        for (int64_t j = i * width; j < (i + half) * width; ++j) {
          const float a = values[j], b = values[j + half * width];
          values[j] = a + b;
          values[j + half * width] = a - b;
        }
  const float scale = 1 / std::sqrt(static_cast<float>(block));
  for (int64_t i = 0; i < rows * width; ++i) values[i] *= scale;
}

}  // namespace

int64_t HadamardBlock(int64_t n) { return n & -n; }

void HadamardRow(std::span<float> row) {
  MixRows(row.data(), std::ssize(row), 1, HadamardBlock(std::ssize(row)));
}

Rotation::Rotation(int64_t n) : signs(static_cast<size_t>(n)) {
  std::mt19937_64 random(kSeed);
  for (float& sign : signs) sign = random() % 2 == 0 ? 1.0f : -1.0f;
}

void Rotation::Turn(std::span<float> row) const {
  for (size_t i = 0; i < row.size(); ++i) row[i] *= signs[i];
  HadamardRow(row);
}

OwnedTensor::OwnedTensor(std::string name, std::vector<int64_t> shape, std::vector<float> v)
    : values(std::move(v)),
      view{std::move(name), DType::kF32, std::move(shape), std::as_bytes(std::span(values)), 0} {}

Result<OwnedTensor> TurnIntoResidual(const TensorView& weight, const Rotation& rotation) {
  const int64_t rows = weight.rows(), cols = weight.cols();
  std::vector<float> values(static_cast<size_t>(rows * cols));
  const std::array parts = {MatrixPart{&weight, nullptr}};
  for (int64_t row = 0; row < rows; ++row) {
    const std::span out(values.data() + row * cols, static_cast<size_t>(cols));
    TRY(DecodeStackedRow(parts, row, out));
    HadamardRow(out);
    for (float& value : out) value *= rotation.signs[static_cast<size_t>(row)];
  }
  MixRows(values.data(), rows, cols, HadamardBlock(rows));
  return OwnedTensor(weight.name, {rows, cols}, std::move(values));
}

Result<OwnedTensor> TurnBias(const TensorView& bias, const Rotation& rotation) {
  TRY_ASSIGN(std::vector<float> values, DecodeVector(bias));
  rotation.Turn(values);
  const int64_t n = std::ssize(values);
  return OwnedTensor(bias.name, {n}, std::move(values));
}

}  // namespace merope

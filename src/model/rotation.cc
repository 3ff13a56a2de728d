#include "model/rotation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <random>
#include <string_view>
#include <utility>

#include "backend/weights.h"
#include "checkpoint/weight_check.h"

namespace merope {
namespace {

constexpr uint64_t kSeed = 350;

// Multiplies each block of `block` rows of a (rows, width) matrix by the orthonormal Hadamard
// matrix, in place. With a width of 1, the matrix is one vector of `rows` values.
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

class RowsRotated : public WeightTensor {
 public:
  RowsRotated(std::unique_ptr<const WeightTensor> plain, std::vector<float> gain,
              const Rotation& rotation)
      : WeightTensor(plain->name, plain->shape, DType::kF32),
        plain_(std::move(plain)),
        gain_(std::move(gain)),
        rotation_(rotation) {}
  std::span<const std::byte> Row(int64_t /*row*/) const override { return {}; }
  void DecodeRow(int64_t row, std::span<float> out) const override {
    plain_->DecodeRow(row, out);
    for (size_t i = 0; i < gain_.size(); ++i) out[i] *= gain_[i];
    rotation_.Rotate(out);
  }

 private:
  std::unique_ptr<const WeightTensor> plain_;
  std::vector<float> gain_;  // (cols), or empty
  const Rotation& rotation_;
};

}  // namespace

int64_t HadamardBlock(int64_t n) { return n & -n; }

void HadamardRow(std::span<float> row) {
  MixRows(row.data(), std::ssize(row), 1, HadamardBlock(std::ssize(row)));
}

Rotation::Rotation(int64_t n) : signs(static_cast<size_t>(n)) {
  std::mt19937_64 random(kSeed);
  for (float& sign : signs) sign = random() % 2 == 0 ? 1.0f : -1.0f;
}

void Rotation::Rotate(std::span<float> row) const {
  for (size_t i = 0; i < row.size(); ++i) row[i] *= signs[i];
  HadamardRow(row);
}

Result<std::unique_ptr<const WeightTensor>> RotateIntoResidual(const WeightTensor& weight,
                                                               const Rotation& rotation) {
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
  return std::make_unique<const ValuesTensor>(weight.name, weight.shape, std::move(values));
}

Result<std::unique_ptr<const WeightTensor>> RotateBias(const WeightTensor& bias,
                                                       const Rotation& rotation) {
  TRY_ASSIGN(std::vector<float> values, DecodeVector(bias));
  rotation.Rotate(values);
  return std::make_unique<const ValuesTensor>(bias.name, bias.shape, std::move(values));
}

Result<std::unique_ptr<const WeightTensor>> RotatedWeights::Open(
    const std::string& name, std::span<const int64_t> shape) const {
  const auto ends = [&name](std::initializer_list<std::string_view> all) {
    return std::ranges::any_of(all, [&](std::string_view end) { return name.ends_with(end); });
  };
  const int64_t hidden = std::ssize(rotation_.signs);
  if (name == kSignsTensor)
    return std::make_unique<const ValuesTensor>(name, std::vector{hidden}, rotation_.signs);
  TRY_ASSIGN(std::unique_ptr<const WeightTensor> plain, plain_.Open(name, shape));
  // The gains of a layer's norms are folded into the matrices after the norms, so the norms get
  // gains of 1.
  if (ends({"input_layernorm.weight", "post_attention_layernorm.weight"}))
    return std::make_unique<const ValuesTensor>(
        name, plain->shape, std::vector<float>(static_cast<size_t>(plain->cols()), 1));
  if (ends({"embed_tokens.weight", "lm_head.weight"})) return RotateRows(std::move(plain), {});
  if (ends({"o_proj.weight", "down_proj.weight"})) return RotateIntoResidual(*plain, rotation_);
  if (ends({"o_proj.bias", "down_proj.bias"})) return RotateBias(*plain, rotation_);
  const bool attention = ends({"q_proj.weight", "k_proj.weight", "v_proj.weight"});
  if (!attention && !ends({"gate_proj.weight", "up_proj.weight"})) return plain;
  const std::string layer = name.substr(0, name.rfind(attention ? "self_attn." : "mlp."));
  const char* norm = attention ? "input_layernorm.weight" : "post_attention_layernorm.weight";
  TRY_ASSIGN(const auto gain, plain_.Open(layer + norm, std::array{hidden}));
  TRY_ASSIGN(std::vector<float> values, DecodeVector(*gain));
  return RotateRows(std::move(plain), std::move(values));
}

std::unique_ptr<const WeightTensor> RotatedWeights::RotateRows(
    std::unique_ptr<const WeightTensor> plain, std::vector<float> gain) const {
  return std::make_unique<const RowsRotated>(std::move(plain), std::move(gain), rotation_);
}

}  // namespace merope

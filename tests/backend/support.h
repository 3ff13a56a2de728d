// Helpers of the kernel tests: tensors in memory, and back ends on every instruction set.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu_targets.h"
#include "backend/registry.h"
#include "base/dtype.h"

namespace merope {

// Owns values in memory and gives them as a checkpoint's tensor.
class MemoryTensor {
 public:
  MemoryTensor(std::string name, std::vector<int64_t> shape, std::vector<float> values)
      : tensor_(std::move(name), std::move(shape), std::move(values)) {}
  const WeightTensor& view() const { return tensor_; }

 private:
  ValuesTensor tensor_;
};

// Returns values with a nearly normal distribution: each value is the sum of the four uniform
// 16-bit integers in one draw. The standard library's distributions compute with long double, which
// takes most of a test's time in QEMU.
inline std::vector<float> RandomValues(int64_t n, uint64_t seed, float scale = 1) {
  constexpr int kMean = 2 * 65535;
  const float unit = scale / (65536 / std::sqrt(3.0f));  // four variances of 2^32 / 12
  std::mt19937_64 random(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) {
    const uint64_t draw = random();
    int sum = 0;
    for (int shift = 0; shift < 64; shift += 16) sum += static_cast<int>(draw >> shift & 0xffff);
    value = static_cast<float>(sum - kMean) * unit;
  }
  return values;
}

inline Tensor ToBackend(Backend& backend, int64_t rows, int64_t cols,
                        std::span<const float> values) {
  const Tensor tensor = *backend.Allocate(rows, cols);
  std::copy(values.begin(), values.end(), tensor.data);
  return tensor;
}

inline std::vector<float> FromBackend(Backend& backend, const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows * tensor.cols));
  backend.CopyOut(tensor, values);
  return values;
}

// x has `rows` rows of equal length. Returns x with NaN as value `at` of the last row.
inline std::vector<float> NaNInTheLastRow(std::vector<float> x, int64_t rows, int64_t at) {
  const int64_t cols = std::ssize(x) / rows;
  x[static_cast<size_t>((rows - 1) * cols + at)] = std::numeric_limits<float>::quiet_NaN();
  return x;
}

// Expects that the last row of `with` is all NaN, and that the other rows equal those of `without`.
inline void ExpectNaNsInTheLastRow(const std::vector<float>& without,
                                   const std::vector<float>& with, int64_t rows) {
  const auto last = std::ssize(with) / rows * (rows - 1);
  EXPECT_TRUE(std::equal(with.begin(), with.begin() + last, without.begin()));
  EXPECT_TRUE(std::all_of(with.begin() + last, with.end(), [](float v) { return std::isnan(v); }));
}

// Unit roundoff of fp32, and the usual bound on the relative error of n roundings in a row (Higham,
// Accuracy and Stability of Numerical Algorithms, lemma 3.1).
inline constexpr double kUnitRoundoff = 0x1p-24;
inline double Gamma(double n) { return n * kUnitRoundoff / (1 - n * kUnitRoundoff); }

// A test suite that runs on every instruction set that this CPU can select, in several precisions.
class OnEveryTarget : public testing::TestWithParam<std::tuple<std::string, Precision>> {
 protected:
  void SetUp() override {
    cpu::SelectTarget(std::get<0>(GetParam()));
    cpu_ = MakeCpuBackend({precision(), 2});
    cpu::SelectTarget("");
    reference_ = MakeReferenceBackend({precision(), 1});
    ASSERT_NE(cpu_->name().find(std::get<0>(GetParam())), std::string::npos) << cpu_->name();
  }
  static Precision precision() { return std::get<1>(GetParam()); }
  static double Rounded(float value) {
    return precision() == Precision::kBf16 ? RoundToBF16(value) : value;
  }

  std::unique_ptr<Backend> cpu_, reference_;
};

#define INSTANTIATE_ON_EVERY_TARGET(Suite)                                                        \
  INSTANTIATE_TEST_SUITE_P(Targets, Suite,                                                        \
                           testing::Combine(testing::ValuesIn(cpu::SelectableTargets()),          \
                                            testing::Values(Precision::kFp32, Precision::kBf16)), \
                           [](const auto& suite_info) {                                           \
                             return std::get<0>(suite_info.param) + "_" +                         \
                                    std::string(PrecisionName(std::get<1>(suite_info.param)));    \
                           })

}  // namespace merope

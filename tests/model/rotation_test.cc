// Tests rotated weights against explicit matrix products.
#include "model/rotation.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tests/support/expect.h"

namespace merope {
namespace {

// An element of Sylvester's matrix: the sign is the parity of the bits that i and j share.
double Hadamard(int64_t i, int64_t j, int64_t block) {
  if (i / block != j / block) return 0;
  const int shared = std::popcount(static_cast<uint64_t>(i % block & j % block));
  return (shared % 2 == 0 ? 1 : -1) / std::sqrt(static_cast<double>(block));
}

std::vector<float> Numbers(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    values[static_cast<size_t>(i)] = static_cast<float>(i * i % 17 - 8) / 4;
  return values;
}

std::vector<float> RowOf(const WeightTensor& tensor, int64_t row) {
  std::vector<float> values(static_cast<size_t>(tensor.cols()));
  tensor.DecodeRow(row, values);
  return values;
}

TEST(Rotation, TheBlockIsTheLargestPowerOfTwo) {
  for (const auto& [n, block] : {std::pair<int64_t, int64_t>{1, 1},
                                 {2, 2},
                                 {12, 4},
                                 {52, 4},
                                 {64, 64},
                                 {1280, 256},
                                 {4095, 1}})
    EXPECT_EQ(HadamardBlock(n), block) << n;
}

TEST(Rotation, ARowTimesHadamard) {
  for (const int64_t n : {1, 2, 8, 12, 48}) {
    const std::vector<float> before = Numbers(n);
    std::vector<float> row = before;
    HadamardRow(row);
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i)
        sum += double{before[static_cast<size_t>(i)]} * Hadamard(i, j, HadamardBlock(n));
      EXPECT_NEAR(row[static_cast<size_t>(j)], sum, 1e-5) << n << " " << j;
    }
  }
}

TEST(Rotation, SignsAreAlwaysTheSameAndOfBothKinds) {
  const Rotation a(300), b(300);
  EXPECT_EQ(a.signs, b.signs);
  int64_t negative = 0;
  for (const float sign : a.signs) {
    EXPECT_EQ(std::fabs(sign), 1);
    negative += sign < 0;
  }
  EXPECT_NEAR(static_cast<double>(negative), 150, 5 * std::sqrt(75.0));
}

TEST(Rotation, RotatesARowBySignsThenHadamard) {
  const Rotation rotation(12);
  std::vector<float> row = Numbers(12), expected = row;
  for (size_t i = 0; i < 12; ++i) expected[i] *= rotation.signs[i];
  HadamardRow(expected);
  rotation.Rotate(row);
  EXPECT_EQ(row, expected);
}

TEST(Rotation, WeightsIntoTheResidualStream) {
  constexpr int64_t kRows = 12, kCols = 8;
  const std::vector<float> numbers = Numbers(kRows * kCols);
  const ValuesTensor weight("w", {kRows, kCols}, numbers);
  const Rotation rotation(kRows);
  const auto rotated = RotateIntoResidual(weight, rotation);
  ASSERT_TRUE(rotated) << ErrorOf(rotated);
  EXPECT_EQ((*rotated)->name, "w");
  EXPECT_EQ((*rotated)->shape, (std::vector<int64_t>{kRows, kCols}));
  for (int64_t r = 0; r < kRows; ++r) {
    const std::vector<float> row = RowOf(**rotated, r);
    for (int64_t c = 0; c < kCols; ++c) {
      double sum = 0;  // Qᵀ · W · H, with Q = diag(signs) · H
      for (int64_t i = 0; i < kRows; ++i)
        for (int64_t j = 0; j < kCols; ++j)
          sum += Hadamard(i, r, 4) * double{rotation.signs[static_cast<size_t>(i)]} *
                 double{numbers[static_cast<size_t>(i * kCols + j)]} * Hadamard(j, c, 8);
      EXPECT_NEAR(row[static_cast<size_t>(c)], sum, 1e-5) << r << " " << c;
    }
  }
  const ValuesTensor bias("b", {kRows}, Numbers(kRows));
  const auto rotated_bias = RotateBias(bias, rotation);
  ASSERT_TRUE(rotated_bias) << ErrorOf(rotated_bias);
  std::vector<float> expected = Numbers(kRows);
  rotation.Rotate(expected);
  EXPECT_EQ(RowOf(**rotated_bias, 0), expected);
  EXPECT_EQ((*rotated_bias)->shape, std::vector<int64_t>{kRows});
  const ValuesTensor broken("w", {1, 2}, {1, std::nanf("")});
  EXPECT_TRUE(Contains(ErrorOf(RotateIntoResidual(broken, Rotation(1))), "w"));
}

}  // namespace
}  // namespace merope

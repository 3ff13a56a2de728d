// Integer products of the CPU back end lie within an error bound of the reference back end, which
// multiplies the same integers.
#include "backend/integer.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <random>

#include "tests/backend/support.h"

namespace merope {
namespace {

struct Shape {
  int64_t rows, in, out;
};
const Shape kShapes[] = {{1, 1, 1},    {1, 63, 65}, {2, 64, 64},   {3, 7, 130},  {4, 172, 172},
                         {5, 576, 65}, {6, 65, 63}, {7, 128, 192}, {13, 172, 7}, {33, 577, 64}};

class IntegerTest : public OnEveryTarget {
 protected:
  static std::vector<float> Run(Backend& backend, const Shape& shape, const std::vector<float>& x,
                                const std::vector<float>& w, const std::vector<float>& bias) {
    const MemoryTensor weight("w", {shape.out, shape.in}, w), b("b", {shape.out}, bias);
    const MatrixPart part{&weight.view(), &b.view()};
    const auto matrix = backend.LoadMatrix(std::span(&part, 1), Stacking::kStacked, {});
    EXPECT_TRUE(matrix) << matrix.error().message;
    const Tensor out = *backend.Allocate(shape.rows, shape.out);
    backend.MatMul(ToBackend(backend, shape.rows, shape.in, x), **matrix, out);
    return FromBackend(backend, out);
  }

  // The error bound. The sum of a group is exact. After it come at most two roundings per group (a
  // product and a sum, if they are not one fused multiply-add), two roundings for the row's scale
  // and the bias, and one rounding in the reference back end.
  static bool WithinBound(const Shape& shape, const std::vector<float>& x,
                          const std::vector<float>& w, const std::vector<float>& bias,
                          const std::vector<float>& expected, const std::vector<float>& out) {
    const IntegerFormat format = FormatOf(precision());
    const int64_t groups = (shape.in + format.group - 1) / format.group;
    for (int64_t i = 0; i < shape.rows; ++i) {
      float largest_x = 0;
      for (int64_t k = 0; k < shape.in; ++k)
        largest_x = std::max(largest_x, std::fabs(x[static_cast<size_t>(i * shape.in + k)]));
      for (int64_t j = 0; j < shape.out; ++j) {
        // Upper bounds of the magnitudes: no integer is more than half a step from its value.
        double magnitude = std::fabs(bias[static_cast<size_t>(j)]);
        for (int64_t k = 0; k < shape.in; ++k) {
          const int64_t first = k / format.group * format.group;
          float largest_w = 0;
          for (int64_t g = first; g < std::min(shape.in, first + format.group); ++g)
            largest_w = std::max(largest_w, std::fabs(w[static_cast<size_t>(j * shape.in + g)]));
          magnitude += (std::fabs(x[static_cast<size_t>(i * shape.in + k)]) + largest_x / 127.0) *
                       (std::fabs(w[static_cast<size_t>(j * shape.in + k)]) + largest_w / 6.0);
        }
        const auto at = static_cast<size_t>(i * shape.out + j);
        const double bound = Gamma(2 * static_cast<double>(groups) + 4) * magnitude;
        if (!(std::fabs(double{out[at]} - double{expected[at]}) <= bound)) return false;
      }
    }
    return true;
  }
};

TEST_P(IntegerTest, LiesWithinTheBoundOfTheReferenceAtOddSizes) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << "x" << shape.in << "x" << shape.out);
    const auto x = RandomValues(shape.rows * shape.in, 1);
    const auto w = RandomValues(shape.out * shape.in, 2), bias = RandomValues(shape.out, 3);
    const auto expected = Run(*reference_, shape, x, w, bias);
    EXPECT_TRUE(WithinBound(shape, x, w, bias, expected, Run(*cpu_, shape, x, w, bias)));
    // The bound detects two errors: the last weight of each row is dropped, or each row of x is
    // replaced by its neighbour.
    auto dropped = w;
    for (int64_t j = 0; j < shape.out; ++j)
      dropped[static_cast<size_t>((j + 1) * shape.in - 1)] = 0;
    EXPECT_FALSE(WithinBound(shape, x, w, bias, expected, Run(*cpu_, shape, x, dropped, bias)));
    if (shape.rows > 1) {
      auto shifted = x;
      std::rotate(shifted.begin(), shifted.begin() + shape.in, shifted.end());
      EXPECT_FALSE(WithinBound(shape, x, w, bias, expected, Run(*cpu_, shape, shifted, w, bias)));
    }
  }
}

// These products would saturate if pairs were summed in 16 bits.
TEST_P(IntegerTest, LargestValuesDoNotSaturate) {
  const Shape shape{2, 256, 65};
  const std::vector<float> x(512, 3.0f), bias(65);
  for (const float value : {1.0f, -1.0f}) {
    const std::vector<float> w(static_cast<size_t>(shape.in * shape.out), value);
    const auto expected = Run(*reference_, shape, x, w, bias);
    EXPECT_NEAR(expected[0], 768 * value, 8);
    EXPECT_TRUE(WithinBound(shape, x, w, bias, expected, Run(*cpu_, shape, x, w, bias)));
  }
}

TEST_P(IntegerTest, ARowOfZerosGivesTheBias) {
  const Shape shape{3, 100, 70};
  const auto w = RandomValues(shape.in * shape.out, 4), bias = RandomValues(shape.out, 5);
  std::vector<float> x = RandomValues(shape.rows * shape.in, 6);
  std::fill_n(x.begin() + shape.in, shape.in, 0.0f);
  const auto out = Run(*cpu_, shape, x, w, bias);
  EXPECT_EQ(std::vector(out.begin() + shape.out, out.begin() + 2 * shape.out), bias);
}

TEST_P(IntegerTest, ANaNShowsInAllOfItsRowAndNoOther) {
  for (const Shape& shape : kShapes) {
    const auto w = RandomValues(shape.in * shape.out, 4), bias = RandomValues(shape.out, 5);
    const auto x = RandomValues(shape.rows * shape.in, 6);
    for (Backend* backend : {cpu_.get(), reference_.get()})
      for (const int64_t at : {int64_t{0}, shape.in / 2, shape.in - 1})
        ExpectNaNsInTheLastRow(Run(*backend, shape, x, w, bias),
                               Run(*backend, shape, NaNInTheLastRow(x, shape.rows, at), w, bias),
                               shape.rows);
  }
}

TEST_P(IntegerTest, EmbeddingsAreTheReferences) {
  const int64_t in = 130, out = 67;
  const MemoryTensor weight("w", {out, in}, RandomValues(in * out, 7));
  const MatrixPart part{&weight.view(), nullptr};
  std::vector<int32_t> tokens = {0, 1, 63, 64, 66};
  Step step;
  step.tokens = tokens;
  std::vector<float> rows[2];
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    const auto matrix = backend->LoadMatrix(std::span(&part, 1), Stacking::kStacked, {});
    ASSERT_TRUE(matrix) << matrix.error().message;
    const Tensor y = *backend->Allocate(std::ssize(tokens), in);
    backend->BeginStep(step);
    backend->Embed(**matrix, y);
    backend->EndStep();
    rows[backend == cpu_.get() ? 0 : 1] = FromBackend(*backend, y);
  }
  EXPECT_EQ(rows[0], rows[1]);
}

TEST_P(IntegerTest, HadamardIsTheReferencesAndItsOwnInverse) {
  for (const auto& [cols, block] :
       {std::pair<int64_t, int64_t>{4, 4}, {84, 4}, {576, 64}, {2560, 512}}) {
    const int64_t rows = 3;
    const auto x = RandomValues(rows * cols, 8);
    std::vector<float> signs(static_cast<size_t>(cols), 1.0f);
    for (size_t i = 0; i < signs.size(); i += 3) signs[i] = -1;
    std::vector<float> results[2];
    for (Backend* backend : {cpu_.get(), reference_.get()}) {
      const Tensor values = ToBackend(*backend, rows, cols, x);
      const Tensor with = ToBackend(*backend, 1, cols, signs);
      backend->Hadamard(values, block, with, false);
      results[backend == cpu_.get() ? 0 : 1] = FromBackend(*backend, values);
      backend->Hadamard(values, block, with, true);
      const auto back = FromBackend(*backend, values);
      for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(back[i], x[i], 1e-5);
    }
    // Roundings: log2(block) sums of a block's values, and one product.
    const double roundings = std::bit_width(static_cast<uint64_t>(block)) + 1.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t first = i / static_cast<size_t>(block) * static_cast<size_t>(block);
      double magnitude = 0;
      for (size_t j = first; j < first + static_cast<size_t>(block); ++j)
        magnitude += std::fabs(x[j]);
      ASSERT_NEAR(results[0][i], results[1][i],
                  Gamma(roundings) * magnitude / std::sqrt(static_cast<double>(block)));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, IntegerTest,
                         testing::Combine(testing::ValuesIn(cpu::SelectableTargets()),
                                          testing::Values(Precision::kInt8, Precision::kInt4)),
                         [](const auto& suite_info) {
                           return std::get<0>(suite_info.param) + "_" +
                                  std::string(PrecisionName(std::get<1>(suite_info.param)));
                         });

TEST(QuantizeActivations, WhatIsNotFiniteIsInTheScale) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<int8_t> q(3, 1);
    EXPECT_TRUE(std::isnan(QuantizeActivations(std::vector<float>{1, value, 2}, q.data())));
    EXPECT_EQ(q, std::vector<int8_t>(3));
  }
}

// A weight is at most half a step off. int4 may clip the largest weight, so that the other weights
// lose less.
TEST(QuantizeWeights, StaysWithinHalfAStep) {
  const auto weights = RandomValues(64, 9);
  uint8_t codes[64];
  const float scale = QuantizeWeights(weights, Precision::kInt8, codes);
  EXPECT_EQ(RoundToBF16(scale), scale);
  for (size_t i = 0; i < weights.size(); ++i)
    EXPECT_NEAR(weights[i], static_cast<float>(IntegerValue(Precision::kInt8, codes[i])) * scale,
                scale / 2 * 1.0001f);
  const std::span group(weights.data(), 32);
  const float coarse = QuantizeWeights(group, Precision::kInt4, codes);
  EXPECT_EQ(RoundToBF16(coarse), coarse);
  double error = 0, squares = 0;
  for (size_t i = 0; i < group.size(); ++i) {
    ASSERT_LT(codes[i], 16);
    const auto value = static_cast<float>(IntegerValue(Precision::kInt4, codes[i]));
    error += std::pow(group[i] - value * coarse, 2);
    squares += std::pow(group[i], 2);
  }
  EXPECT_LT(error / squares, 0.015);  // a step is a sixteenth of the range: at most (1/16)² · 4
}

// For normally distributed weights, int4 loses a sixth less than the integers −8 … 7 with their
// best scales. The integers −8 … 7 lose 0.0065 of the squares (by simulation).
TEST(QuantizeWeights, Int4LosesLittleOfNormalWeights) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  double error = 0, squares = 0;
  for (int i = 0; i < 4000; ++i) {
    std::vector<float> group(32);
    for (float& weight : group) weight = 0.02f * normal(random);
    uint8_t codes[32];
    const float scale = QuantizeWeights(group, Precision::kInt4, codes);
    for (size_t k = 0; k < group.size(); ++k) {
      const auto value = static_cast<float>(IntegerValue(Precision::kInt4, codes[k]));
      error += std::pow(group[k] - value * scale, 2);
      squares += std::pow(group[k], 2);
    }
  }
  EXPECT_LT(error / squares, 0.0056);
}

// The squares of these weights overflow.
TEST(QuantizeWeights, HugeWeightsStayHuge) {
  std::vector<float> group(32, 1e38f);
  group[5] = -2e38f;
  for (const Precision precision : {Precision::kInt8, Precision::kInt4}) {
    uint8_t codes[32];
    const float scale = QuantizeWeights(group, precision, codes);
    for (size_t k = 0; k < group.size(); ++k)
      EXPECT_NEAR(static_cast<float>(IntegerValue(precision, codes[k])) * scale, group[k], 2e37)
          << PrecisionName(precision) << " " << k;
  }
}

TEST(QuantizeWeights, ZerosStayZeros) {
  const std::vector<float> zeros(64);
  uint8_t codes[64];
  EXPECT_EQ(QuantizeWeights(zeros, Precision::kInt8, codes), 0);
  EXPECT_EQ(QuantizeWeights(std::span(zeros).first(32), Precision::kInt4, codes), 0);
  std::vector<float> tiny(64);  // the scale has no finite inverse
  tiny[3] = 1e-40f;
  for (const Precision precision : {Precision::kInt8, Precision::kInt4}) {
    const float scale = QuantizeWeights(tiny, precision, codes);
    EXPECT_LE(std::fabs(static_cast<float>(IntegerValue(precision, codes[0])) * scale), 1e-40f);
  }
}

}  // namespace
}  // namespace merope

#include "tests/backend/support.h"

namespace merope {
namespace {

struct Shape {
  int64_t rows, in, out;
};
const Shape kShapes[] = {{1, 1, 1},    {1, 2, 63},    {1, 65, 64},   {2, 63, 65},
                         {3, 7, 7},    {4, 172, 172}, {5, 576, 65},  {6, 64, 576},
                         {7, 65, 130}, {13, 172, 63}, {33, 576, 192}};

class MatMulTest : public OnEveryTarget {
 protected:
  // Whether every element of out lies within the error bound of a chain of n multiply-adds in fp32
  // around the exact product of the inputs. The inputs are rounded as the back end rounds them.
  // Compared with this bound, the double-precision reference is exact, except for its last
  // rounding. If the instruction set has no fused multiply-add, a lane's chain has one rounding per
  // product and one rounding per sum.
  static bool WithinBound(const Shape& shape, const std::vector<float>& x,
                          const std::vector<float>& w, const std::vector<float>& bias,
                          const std::vector<float>& expected, const std::vector<float>& out) {
    for (int64_t i = 0; i < shape.rows; ++i)
      for (int64_t j = 0; j < shape.out; ++j) {
        double magnitude = bias.empty() ? 0 : std::fabs(bias[static_cast<size_t>(j)]);
        for (int64_t k = 0; k < shape.in; ++k)
          magnitude += std::fabs(Rounded(x[static_cast<size_t>(i * shape.in + k)]) *
                                 Rounded(w[static_cast<size_t>(j * shape.in + k)]));
        const auto at = static_cast<size_t>(i * shape.out + j);
        const double bound = Gamma(static_cast<double>(shape.in) + 3) * magnitude;
        if (!(std::fabs(double{out[at]} - double{expected[at]}) <= bound)) return false;
      }
    return true;
  }

  static std::vector<float> Run(Backend& backend, const Shape& shape, const std::vector<float>& x,
                                const std::vector<float>& w, const std::vector<float>& bias) {
    // Two parts, like gate_proj and up_proj, if there are at least two outputs.
    const int64_t first = (shape.out + 1) / 2, second = shape.out - first;
    const auto split_w = w.begin() + first * shape.in;
    const MemoryTensor a("a", {first, shape.in}, {w.begin(), split_w});
    const MemoryTensor b("b", {second, shape.in}, {split_w, w.end()});
    std::unique_ptr<MemoryTensor> bias_b;
    if (!bias.empty())
      bias_b = std::make_unique<MemoryTensor>("bias", std::vector{second},
                                              std::vector<float>(bias.begin() + first, bias.end()));
    std::vector<MatrixPart> parts = {{&a.view(), nullptr}};
    if (second > 0) parts.push_back({&b.view(), bias_b ? &bias_b->view() : nullptr});
    auto matrix = backend.LoadMatrix(parts, Stacking::kStacked, {});
    EXPECT_TRUE(matrix) << matrix.error().message;
    const Tensor out = *backend.Allocate(shape.rows, shape.out);
    backend.MatMul(ToBackend(backend, shape.rows, shape.in, x), **matrix, out);
    return FromBackend(backend, out);
  }
};

TEST_P(MatMulTest, LiesWithinTheBoundOfTheReferenceAtOddSizes) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << "x" << shape.in << "x" << shape.out);
    const auto x = RandomValues(shape.rows * shape.in, 1),
               w = RandomValues(shape.out * shape.in, 2);
    auto bias = RandomValues(shape.out, 3);
    std::fill_n(bias.begin(), (shape.out + 1) / 2, 0.0f);  // the first part has no bias
    for (const auto& b : {std::vector<float>(), bias}) {
      const auto expected = Run(*reference_, shape, x, w, b);
      const auto out = Run(*cpu_, shape, x, w, b);
      EXPECT_TRUE(WithinBound(shape, x, w, b, expected, out));
    }
  }
}

TEST_P(MatMulTest, TheBoundCatchesADroppedElementAndANeighboursRow) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << "x" << shape.in << "x" << shape.out);
    const auto x = RandomValues(shape.rows * shape.in, 1),
               w = RandomValues(shape.out * shape.in, 2);
    const auto expected = Run(*reference_, shape, x, w, {});
    auto dropped = x;
    for (int64_t i = 0; i < shape.rows; ++i)
      dropped[static_cast<size_t>((i + 1) * shape.in - 1)] = 0;
    EXPECT_FALSE(WithinBound(shape, x, w, {}, expected, Run(*cpu_, shape, dropped, w, {})));
    if (shape.rows == 1) continue;
    auto neighbour = x;
    std::copy_n(x.begin(), shape.in, neighbour.begin() + shape.in);
    EXPECT_FALSE(WithinBound(shape, x, w, {}, expected, Run(*cpu_, shape, neighbour, w, {})));
  }
}

TEST_P(MatMulTest, ANaNShowsInAllOfItsRowAndNoOther) {
  for (const Shape& shape : kShapes) {
    const auto x = RandomValues(shape.rows * shape.in, 1),
               w = RandomValues(shape.out * shape.in, 2);
    for (Backend* backend : {cpu_.get(), reference_.get()})
      for (const int64_t at : {int64_t{0}, shape.in - 1})
        ExpectNaNsInTheLastRow(Run(*backend, shape, x, w, {}),
                               Run(*backend, shape, NaNInTheLastRow(x, shape.rows, at), w, {}),
                               shape.rows);
  }
}

TEST_P(MatMulTest, ARowHasTheSameBitsInAnyBatch) {
  const Shape all{33, 172, 130};
  const auto x = RandomValues(all.rows * all.in, 1), w = RandomValues(all.out * all.in, 2);
  const auto batch = Run(*cpu_, all, x, w, {});
  for (int64_t row : {0, 1, 5, 6, 17, 32}) {
    const std::vector<float> alone(x.begin() + row * all.in, x.begin() + (row + 1) * all.in);
    const auto out = Run(*cpu_, {1, all.in, all.out}, alone, w, {});
    EXPECT_TRUE(std::equal(out.begin(), out.end(), batch.begin() + row * all.out)) << "row " << row;
  }
}

// Stored bf16 weights are packed without conversion. The same values in fp32 must give the same
// bits, and an infinity must be found.
TEST_P(MatMulTest, StoredBf16AndFp32WeightsAreTheSame) {
  for (const auto& [in, out_features] : {std::pair{65, 130}, std::pair{172, 64}, std::pair{1, 3}}) {
    const auto values = RandomValues(in * out_features, 5);
    std::vector<uint16_t> stored;
    std::vector<float> rounded;
    for (const float value : values) {
      stored.push_back(F32ToBF16(value));
      rounded.push_back(RoundToBF16(value));
    }
    const auto bf16 =
        OpenTensor({"w", DType::kBF16, {out_features, in}, std::as_bytes(std::span(stored)), 0});
    const MemoryTensor fp32("w", {out_features, in}, rounded);
    const Tensor x = ToBackend(*cpu_, 2, in, RandomValues(2 * in, 6));
    std::vector<std::vector<float>> results;
    for (const WeightTensor* weight : {bf16.get(), &fp32.view()}) {
      const Tensor out = *cpu_->Allocate(2, out_features);
      cpu_->MatMul(
          x, **cpu_->LoadMatrix(std::array{MatrixPart{weight, nullptr}}, Stacking::kStacked, {}),
          out);
      results.push_back(FromBackend(*cpu_, out));
    }
    EXPECT_EQ(results[0], results[1]);
    stored.back() = 0x7f80;
    EXPECT_FALSE(
        cpu_->LoadMatrix(std::array{MatrixPart{bf16.get(), nullptr}}, Stacking::kStacked, {}));
  }
}

TEST_P(MatMulTest, RefusesWeightsThatAreNotFinite) {
  for (const float bad : {NAN, INFINITY}) {
    auto w = RandomValues(130 * 7, 2);
    w[100 * 7 + 6] = bad;
    const MemoryTensor weight("the.weight", {130, 7}, w);
    const auto loaded =
        cpu_->LoadMatrix(std::array{MatrixPart{&weight.view(), nullptr}}, Stacking::kStacked, {});
    ASSERT_FALSE(loaded);
    EXPECT_NE(loaded.error().message.find("the.weight"), std::string::npos)
        << loaded.error().message;
    EXPECT_NE(loaded.error().message.find("row 100"), std::string::npos) << loaded.error().message;
  }
}

INSTANTIATE_ON_EVERY_TARGET(MatMulTest);

}  // namespace
}  // namespace merope

// Products with the integers that a GGUF file stores. The packed weights are bit-identical to the
// weights of the file. The results lie within an error bound of the reference back end, on every
// instruction set.
#include <algorithm>
#include <bit>
#include <numeric>

#include "backend/integer.h"
#include "checkpoint/blocks.h"
#include "tests/backend/support.h"
#include "tests/support/gguf_quantize.h"

namespace merope {
namespace {

struct Shape {
  int64_t rows, in, out;
};

// Owns quantized weights in memory and gives them as a checkpoint's tensor.
struct BlockTensor {
  std::string bytes;
  std::unique_ptr<const WeightTensor> opened;
  const WeightTensor& view;
  BlockTensor(DType dtype, int64_t out, int64_t in, uint64_t seed, int64_t permuted_heads = 0)
      : bytes(RandomBlocks(dtype, out * in, seed)),
        opened(
            OpenTensor({"w", dtype, {out, in}, std::as_bytes(std::span(bytes)), permuted_heads})),
        view(*opened) {}
  std::vector<float> Values() const {
    std::vector<float> values(static_cast<size_t>(view.elements()));
    for (int64_t i = 0; i < view.rows(); ++i)
      view.DecodeRow(i, std::span(values).subspan(static_cast<size_t>(i * view.cols()),
                                                  static_cast<size_t>(view.cols())));
    return values;
  }
};

class NativeTest : public testing::TestWithParam<std::tuple<std::string, DType>> {
 protected:
  void SetUp() override {
    cpu_ = MakeOn(2);
    reference_ = MakeReferenceBackend({Precision::kNative, 1});
  }
  static DType dtype() { return std::get<1>(GetParam()); }
  static std::unique_ptr<Backend> MakeOn(int threads) {
    cpu::SelectTarget(std::get<0>(GetParam()));
    auto backend = MakeCpuBackend({Precision::kNative, threads});
    cpu::SelectTarget("");
    return backend;
  }
  // in_features is a multiple of the type's block size.
  static std::vector<Shape> Shapes() {
    if (BlockElements(dtype()) == 32)
      return {{1, 32, 1},    {1, 64, 65},  {2, 96, 63},  {3, 160, 130},
              {4, 576, 172}, {5, 544, 65}, {7, 32, 192}, {33, 576, 64}};
    return {{1, 256, 1}, {1, 512, 65}, {2, 256, 63}, {3, 768, 130}, {7, 256, 192}, {33, 512, 64}};
  }

  static const Matrix* Load(Backend& backend, std::span<const MatrixPart> parts,
                            Stacking stacking = Stacking::kStacked) {
    const auto matrix = backend.LoadMatrix(parts, stacking, {});
    EXPECT_TRUE(matrix) << matrix.error().message;
    return *matrix;
  }

  static std::vector<float> Run(Backend& backend, const Matrix& matrix, int64_t rows,
                                const std::vector<float>& x) {
    const Tensor out = *backend.Allocate(rows, matrix.out_features);
    backend.MatMul(ToBackend(backend, rows, matrix.in_features, x), matrix, out);
    return FromBackend(backend, out);
  }

  static std::vector<float> Embedded(Backend& backend, const Matrix& table) {
    std::vector<int32_t> tokens(static_cast<size_t>(table.out_features));
    std::iota(tokens.begin(), tokens.end(), 0);
    Step step;
    step.tokens = tokens;
    const Tensor out = *backend.Allocate(table.out_features, table.in_features);
    backend.BeginStep(step);
    backend.Embed(table, out);
    backend.EndStep();
    return FromBackend(backend, out);
  }

  // The error bound. The sums of integers in a block are exact. For each block, the back end rounds
  // the sum of x times its scale, then a product and a sum for the minimum, and then three results
  // for each of at most two scales. The bias comes last. The reference back end rounds each weight
  // and each x once, and its result once. The magnitudes are upper bounds: an integer of x is at
  // most half a step from its value, and a weight's scaled integer and its minimum may cancel.
  static bool WithinBound(const Shape& shape, const std::vector<float>& x,
                          const std::vector<float>& magnitudes, const std::vector<float>& bias,
                          const std::vector<float>& expected, const std::vector<float>& out) {
    const int64_t groups = shape.in / kNativeGroup;
    const double roundings = 9 * static_cast<double>(groups) + 4;
    for (int64_t i = 0; i < shape.rows; ++i) {
      std::vector<double> x_most(static_cast<size_t>(shape.in));
      for (int64_t k = 0; k < shape.in; ++k) {
        const auto first = x.begin() + i * shape.in + k / kNativeGroup * kNativeGroup;
        float most = 0;
        for (auto at = first; at < first + kNativeGroup; ++at)
          most = std::max(most, std::fabs(*at));
        x_most[static_cast<size_t>(k)] =
            std::fabs(x[static_cast<size_t>(i * shape.in + k)]) + most / 254.0;
      }
      for (int64_t j = 0; j < shape.out; ++j) {
        double magnitude = std::fabs(bias[static_cast<size_t>(j)]);
        for (int64_t k = 0; k < shape.in; ++k)
          magnitude +=
              x_most[static_cast<size_t>(k)] * magnitudes[static_cast<size_t>(j * shape.in + k)];
        const auto at = static_cast<size_t>(i * shape.out + j);
        const double difference = std::fabs(double{out[at]} - double{expected[at]});
        if (!(difference <= Gamma(roundings) * magnitude)) return false;
      }
    }
    return true;
  }

  // Upper bounds of |scaled integer| + |minimum| of each weight. The subtraction of the offset is
  // exact.
  static std::vector<float> Magnitudes(const BlockTensor& weight) {
    std::vector<float> magnitudes = weight.Values();
    for (float& value : magnitudes) value = std::fabs(value);
    const int64_t in = weight.view.cols();
    if (HalvesOf(dtype()).size() < 2) return magnitudes;
    // With a minimum m: |s·q| ≤ |w| + |m|, so the sum is at most |w| + 2 |m|.
    for (int64_t row = 0; row < weight.view.rows(); ++row) {
      for (int64_t b = 0; b < in / kNativeGroup; ++b) {
        const BlockRun run = ReadBlockRun(dtype(), weight.view.Row(row).data(), b);
        const float minimum =
            std::fabs(F16ToF32(run.minimum)) * static_cast<float>(run.minimum_factor);
        for (int64_t k = 0; k < kNativeGroup; ++k)
          magnitudes[static_cast<size_t>(row * in + b * kNativeGroup + k)] += 2 * minimum;
      }
    }
    return magnitudes;
  }

  std::unique_ptr<Backend> cpu_, reference_;
};

TEST_P(NativeTest, PackedWeightsAreTheFilesToTheBit) {
  for (const Shape& shape : Shapes()) {
    const BlockTensor weight(dtype(), shape.out, shape.in, 1);
    const MatrixPart part{&weight.view, nullptr};
    EXPECT_EQ(Embedded(*cpu_, *Load(*cpu_, std::span(&part, 1))), weight.Values());
  }
  // The rows of permuted heads are loaded in Hugging Face's order.
  const BlockTensor permuted(dtype(), 96, 256, 2, 6);
  const BlockTensor as_stored(dtype(), 96, 256, 2);
  ASSERT_NE(permuted.Values(), as_stored.Values());
  const MatrixPart part{&permuted.view, nullptr};
  EXPECT_EQ(Embedded(*cpu_, *Load(*cpu_, std::span(&part, 1))), permuted.Values());
}

TEST_P(NativeTest, LiesWithinTheBoundOfTheReferenceAtOddSizes) {
  for (const Shape& shape : Shapes()) {
    SCOPED_TRACE(testing::Message() << shape.rows << "x" << shape.in << "x" << shape.out);
    const BlockTensor weight(dtype(), shape.out, shape.in, 3);
    const auto x = RandomValues(shape.rows * shape.in, 4), bias = RandomValues(shape.out, 5);
    const MemoryTensor b("b", {shape.out}, bias);
    const MatrixPart part{&weight.view, &b.view()};
    const Matrix *fast = Load(*cpu_, std::span(&part, 1)),
                 *exact = Load(*reference_, std::span(&part, 1));
    const auto magnitudes = Magnitudes(weight);
    const auto expected = Run(*reference_, *exact, shape.rows, x);
    EXPECT_TRUE(
        WithinBound(shape, x, magnitudes, bias, expected, Run(*cpu_, *fast, shape.rows, x)));
    // The bound detects two errors: the last value of each row of x is dropped, or each row of x is
    // replaced by its neighbour.
    auto dropped = x;
    for (int64_t i = 1; i <= shape.rows; ++i) dropped[static_cast<size_t>(i * shape.in - 1)] = 0;
    EXPECT_FALSE(
        WithinBound(shape, x, magnitudes, bias, expected, Run(*cpu_, *fast, shape.rows, dropped)));
    if (shape.rows == 1) continue;
    auto shifted = x;
    std::rotate(shifted.begin(), shifted.begin() + shape.in, shifted.end());
    EXPECT_FALSE(
        WithinBound(shape, x, magnitudes, bias, expected, Run(*cpu_, *fast, shape.rows, shifted)));
  }
}

TEST_P(NativeTest, RowsAndThreadsDoNotChangeABit) {
  const int64_t in = 512, out = 130, most = 33;
  const BlockTensor weight(dtype(), out, in, 6);
  const MatrixPart part{&weight.view, nullptr};
  const auto x = RandomValues(most * in, 7);
  const auto all = Run(*cpu_, *Load(*cpu_, std::span(&part, 1)), most, x);
  for (const int threads : {1, 3}) {
    const auto backend = MakeOn(threads);
    const Matrix* matrix = Load(*backend, std::span(&part, 1));
    for (int64_t rows = 1; rows <= most; ++rows) {
      // The last `rows` rows, so that each row is at another place in its tile.
      const std::vector<float> some(x.end() - rows * in, x.end());
      EXPECT_EQ(Run(*backend, *matrix, rows, some),
                std::vector<float>(all.end() - rows * out, all.end()))
          << rows << " rows, " << threads << " threads";
    }
  }
}

// A stack of q, k and v with different types. No part fills whole panels. Also a pair of parts.
TEST_P(NativeTest, PartsOfAStackKeepTheirTypes) {
  const int64_t in = 256, rows = 5;
  const auto x = RandomValues(rows * in, 8);
  for (const DType other : {DType::kQ6_K, DType::kQ8_0, DType::kQ4_K}) {
    const BlockTensor a(dtype(), 70, in, 9), b(other, 70, in, 10), c(dtype(), 9, in, 11);
    const MatrixPart parts[] = {{&a.view, nullptr}, {&b.view, nullptr}, {&c.view, nullptr}};
    std::vector<float> alone[3];
    for (size_t i = 0; i < 3; ++i)
      alone[i] = Run(*cpu_, *Load(*cpu_, std::span(&parts[i], 1)), rows, x);
    const auto stacked = Run(*cpu_, *Load(*cpu_, parts), rows, x);
    const auto paired =
        Run(*cpu_, *Load(*cpu_, std::span(parts).first(2), Stacking::kPaired), rows, x);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t j = 0; j < 149; ++j) {
        const int64_t part = j / 70, width = part == 2 ? 9 : 70;
        const float expected = alone[part][static_cast<size_t>(row * width + j % 70)];
        ASSERT_EQ(stacked[static_cast<size_t>(row * 149 + j)], expected) << row << ", " << j;
        if (j < 140) {
          ASSERT_EQ(paired[static_cast<size_t>(row * 140 + j)], expected) << row << ", " << j;
        }
      }
  }
}

// A group of zeros, or of values next to zero, gives no NaN.
TEST_P(NativeTest, TinyActivationsAreZeros) {
  const BlockTensor weight(dtype(), 40, 256, 12);
  const auto bias = RandomValues(40, 13);
  const MemoryTensor b("b", {40}, bias);
  const MatrixPart part{&weight.view, &b.view()};
  for (const float value : {0.0f, 1e-45f, -1e-38f})
    EXPECT_EQ(Run(*cpu_, *Load(*cpu_, std::span(&part, 1)), 1, std::vector(256, value)), bias);
}

TEST_P(NativeTest, ANaNShowsInAllOfItsRowAndNoOther) {
  constexpr int64_t kRows = 7, kIn = 256;
  const BlockTensor weight(dtype(), 70, kIn, 12);
  const MatrixPart part{&weight.view, nullptr};
  const auto x = RandomValues(kRows * kIn, 13);
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    const auto matrix = Load(*backend, std::span(&part, 1));
    for (const int64_t at : {0, 100, 255})
      ExpectNaNsInTheLastRow(Run(*backend, *matrix, kRows, x),
                             Run(*backend, *matrix, kRows, NaNInTheLastRow(x, kRows, at)), kRows);
  }
}

TEST_P(NativeTest, NonFiniteScalesAreRefusedByName) {
  for (const size_t at : HalvesOf(dtype())) {
    BlockTensor weight(dtype(), 70, 256, 14);
    const uint16_t infinity = 0x7c00;
    std::memcpy(weight.bytes.data() + 66 * RowBytes(dtype(), 256) + at, &infinity, 2);
    const MatrixPart part{&weight.view, nullptr};
    const auto matrix = cpu_->LoadMatrix(std::span(&part, 1), Stacking::kStacked, {});
    ASSERT_FALSE(matrix);
    EXPECT_EQ(matrix.error().message,
              "weight w: row 66: expected finite values, found NaN or infinity");
    // If several rows have such a scale, the error names the first of these rows.
    for (const size_t row : {69u, 5u, 3u, 40u})
      std::memcpy(weight.bytes.data() + row * RowBytes(dtype(), 256) + at, &infinity, 2);
    const auto several = cpu_->LoadMatrix(std::span(&part, 1), Stacking::kStacked, {});
    ASSERT_FALSE(several);
    EXPECT_EQ(several.error().message,
              "weight w: row 3: expected finite values, found NaN or infinity");
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, NativeTest,
                         testing::Combine(testing::ValuesIn(cpu::SelectableTargets()),
                                          testing::ValuesIn(kQuantizedTypes)),
                         [](const auto& suite_info) {
                           return std::get<0>(suite_info.param) + "_" +
                                  std::string(DTypeName(std::get<1>(suite_info.param)));
                         });

}  // namespace
}  // namespace merope

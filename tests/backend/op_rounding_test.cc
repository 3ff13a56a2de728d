// The reference back end in the arithmetic of other engines: the result of every op is rounded.
#include <cmath>

#include "tests/backend/support.h"

namespace merope {
namespace {

class OpRoundingTest : public testing::TestWithParam<OpRounding> {
 protected:
  static float Rounded(float value) {
    return GetParam() == OpRounding::kBf16 ? RoundToBF16(value) : F16ToF32(F32ToF16(value));
  }
  static std::vector<float> Rounded(std::vector<float> values) {
    for (float& value : values) value = Rounded(value);
    return values;
  }
  // Runs the op with and without the rounding of results, on inputs that need none. The one result
  // is the other one, rounded.
  template <class Run>
  void ExpectRounded(const Run& run) {
    const auto backend = [](Precision precision, OpRounding rounding) {
      return MakeReferenceBackend({.precision = precision, .threads = 1, .op_rounding = rounding});
    };
    const auto exact = backend(Precision::kFp32, OpRounding::kNone);
    const auto rounding = backend(Precision::kBf16, GetParam());
    const std::vector<float> expected = Rounded(run(*exact)), found = run(*rounding);
    EXPECT_EQ(found, expected);
    EXPECT_NE(run(*exact), expected);  // the rounding can be seen
  }
};

constexpr int64_t kRows = 3, kCols = 16;

TEST_P(OpRoundingTest, OfANorm) {
  const auto x = Rounded(RandomValues(kRows * kCols, 1)), gain = Rounded(RandomValues(kCols, 2));
  ExpectRounded([&](Backend& backend) {
    const Tensor out = *backend.Allocate(kRows, kCols);
    backend.RmsNorm(ToBackend(backend, kRows, kCols, x), ToBackend(backend, 1, kCols, gain), 1e-5f,
                    out);
    return FromBackend(backend, out);
  });
}

TEST_P(OpRoundingTest, OfAProduct) {
  const auto x = Rounded(RandomValues(kRows * kCols, 1)),
             weight = Rounded(RandomValues(5 * kCols, 2));
  ExpectRounded([&](Backend& backend) {
    const MemoryTensor tensor("weight", {5, kCols}, weight);
    const MatrixPart part{.weight = &tensor.view()};
    const Matrix* matrix = *backend.LoadMatrix({&part, 1}, Stacking{}, {});
    const Tensor out = *backend.Allocate(kRows, 5);
    backend.MatMul(ToBackend(backend, kRows, kCols, x), *matrix, out);
    return FromBackend(backend, out);
  });
}

TEST_P(OpRoundingTest, OfOpsInPlace) {
  const auto x = Rounded(RandomValues(kRows * kCols, 1)),
             y = Rounded(RandomValues(kRows * kCols, 2));
  ExpectRounded([&](Backend& backend) {
    const Tensor sum = ToBackend(backend, kRows, kCols, x);
    backend.Add(sum, ToBackend(backend, kRows, kCols, y));
    return FromBackend(backend, sum);
  });
}

TEST_P(OpRoundingTest, OfAnglesAndRotations) {
  const auto x = Rounded(RandomValues(kCols, 1));
  const std::vector<float> cos = {0.3f, 0.7f}, sin = {0.95f, 0.71f};
  const auto run = [&](Backend& backend, const std::vector<float>& c, const std::vector<float>& s) {
    const Tensor rotated = ToBackend(backend, 1, 4, std::span(x).first(4));
    backend.BeginStep({.tokens = {},
                       .rope_cos = c,
                       .rope_sin = s,
                       .sequences = {},
                       .logit_rows = {},
                       .kv = nullptr});
    backend.Rope(rotated, 4);
    backend.EndStep();
    return FromBackend(backend, rotated);
  };
  const auto exact = MakeReferenceBackend({.precision = Precision::kFp32, .threads = 1});
  const auto rounding = MakeReferenceBackend(
      {.precision = Precision::kBf16, .threads = 1, .op_rounding = GetParam()});
  EXPECT_EQ(run(*rounding, cos, sin), Rounded(run(*exact, Rounded(cos), Rounded(sin))));
}

INSTANTIATE_TEST_SUITE_P(Formats, OpRoundingTest,
                         testing::Values(OpRounding::kBf16, OpRounding::kFp16),
                         [](const auto& suite_info) {
                           return suite_info.param == OpRounding::kBf16 ? "bf16" : "fp16";
                         });

// Random rounding goes to one of the two neighbours, to each with the probability that keeps the
// mean.
TEST(OpRounding, AtRandomKeepsTheMean) {
  constexpr int64_t kValues = 40'000;
  const auto rounded = [](float value, OpRounding rounding, uint64_t seed) {
    const auto backend = MakeReferenceBackend({.precision = Precision::kBf16,
                                               .threads = 1,
                                               .op_rounding = rounding,
                                               .rounding_seed = seed});
    const Tensor x = ToBackend(*backend, 1, kValues, std::vector<float>(kValues, value));
    backend->Add(x, ToBackend(*backend, 1, kValues, std::vector<float>(kValues, 0)));
    return FromBackend(*backend, x);
  };
  const struct {
    float value, low, high;
    OpRounding rounding;
  } cases[] = {{1 + 0x1p-9f, 1, 1 + 0x1p-7f, OpRounding::kBf16},
               {-1 - 0x1p-9f, -1 - 0x1p-7f, -1, OpRounding::kBf16},
               {1 - 0x1p-10f, 1 - 0x1p-8f, 1, OpRounding::kBf16},
               {3 + 0x1p-10f, 3, 3 + 0x1p-9f, OpRounding::kFp16}};
  for (const auto& c : cases) {
    const std::vector<float> found = rounded(c.value, c.rounding, 7);
    const double share = (double{c.value} - double{c.low}) / (double{c.high} - double{c.low});
    const auto high = std::ranges::count(found, c.high);
    EXPECT_EQ(high + std::ranges::count(found, c.low), kValues) << c.value;
    // Five standard deviations of a binomial.
    EXPECT_NEAR(static_cast<double>(high), share * kValues,
                5 * std::sqrt(share * (1 - share) * kValues))
        << c.value;
    EXPECT_EQ(rounded(c.value, c.rounding, 7), found);
    EXPECT_NE(rounded(c.value, c.rounding, 8), found);
  }
  for (const float exact : {0.0f, 1.5f, -2.0f, HUGE_VALF})
    EXPECT_EQ(rounded(exact, OpRounding::kBf16, 7), std::vector<float>(kValues, exact));
}

TEST(OpRounding, IsNotOfTheCpuBackEnd) {
  const auto backend = MakeBackend(kCpuBackend, {.op_rounding = OpRounding::kBf16});
  ASSERT_FALSE(backend);
  EXPECT_EQ(backend.error().field, "backend");
}

}  // namespace
}  // namespace merope

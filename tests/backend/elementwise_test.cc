#include "tests/backend/support.h"

namespace merope {
namespace {

const int64_t kSizes[] = {1, 2, 7, 15, 16, 17, 63, 65, 172, 576};
constexpr int64_t kRows = 3;

class ElementwiseTest : public OnEveryTarget {
 protected:
  // Whether |out − expected| ≤ bound(i) for every i. Each bound is proportional to the magnitudes
  // of the values.
  template <class Bound>
  static bool Within(const std::vector<float>& out, const std::vector<float>& expected,
                     const Bound& bound) {
    for (size_t i = 0; i < out.size(); ++i)
      if (!(std::fabs(double{out[i]} - double{expected[i]}) <= bound(i))) return false;
    return true;
  }
};

TEST_P(ElementwiseTest, RmsNorm) {
  for (const int64_t n : kSizes) {
    SCOPED_TRACE(n);
    const auto x = RandomValues(kRows * n, 1), gain = RandomValues(n, 2);
    const MemoryTensor weight("norm", {n}, gain);
    const auto run = [&](Backend& backend, const std::vector<float>& in) {
      const Tensor out = *backend.Allocate(kRows, n);
      backend.RmsNorm(ToBackend(backend, kRows, n, in), *backend.LoadVector(weight.view()), 1e-5f,
                      out);
      return FromBackend(backend, out);
    };
    const auto expected = run(*reference_, x);
    // The sum of n squares has a relative error of γ_2n, because all squares are positive. The root
    // halves this error. Then follow the division, the sum with eps, the root, the reciprocal and
    // two products.
    const auto bound = [&](size_t i) {
      return Gamma(static_cast<double>(n) + 8) * std::fabs(double{expected[i]});
    };
    EXPECT_TRUE(Within(run(*cpu_, x), expected, bound));
    auto dropped = x;
    for (int64_t row = 0; row < kRows; ++row) dropped[static_cast<size_t>((row + 1) * n - 1)] = 0;
    EXPECT_FALSE(Within(run(*cpu_, dropped), expected, bound));
    auto neighbour = x;
    std::copy_n(x.begin(), n, neighbour.begin() + n);
    EXPECT_FALSE(Within(run(*cpu_, neighbour), expected, bound));
  }
}

// On a part of the columns: the other columns keep their values.
TEST_P(ElementwiseTest, HeadNorm) {
  for (const int64_t d : {2, 6, 16, 34, 64, 80, 128}) {
    SCOPED_TRACE(d);
    const int64_t heads = 3, cols = (heads + 1) * d;
    const auto x = RandomValues(kRows * cols, 1), gain = RandomValues(d, 2);
    const MemoryTensor weight("norm", {d}, gain);
    const auto run = [&](Backend& backend, const std::vector<float>& in) {
      const Tensor all = ToBackend(backend, kRows, cols, in);
      backend.HeadNorm(all.Cols(d, heads * d), *backend.LoadVector(weight.view()), 1e-5f);
      return FromBackend(backend, all);
    };
    const auto expected = run(*reference_, x);
    const auto normalized = [&](size_t i) { return static_cast<int64_t>(i) % cols >= d; };
    // As for RmsNorm, over the values of one head.
    const auto bound = [&](size_t i) {
      return normalized(i) ? Gamma(static_cast<double>(d) + 8) * std::fabs(double{expected[i]}) : 0;
    };
    EXPECT_TRUE(Within(run(*cpu_, x), expected, bound));
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_TRUE(normalized(i) || expected[i] == x[i]) << i;
    }
    auto dropped = x;
    for (int64_t row = 0; row < kRows; ++row)
      dropped[static_cast<size_t>((row + 1) * cols - 1)] = 0;
    EXPECT_FALSE(Within(run(*cpu_, dropped), expected, bound));
    auto neighbour = x;
    std::copy_n(x.begin() + d, d, neighbour.begin() + 2 * d);
    EXPECT_FALSE(Within(run(*cpu_, neighbour), expected, bound));
  }
}

TEST_P(ElementwiseTest, SwiGlu) {
  for (const int64_t n : kSizes) {
    SCOPED_TRACE(n);
    const auto gate_up = RandomValues(kRows * 2 * n, 1, 8);
    const auto run = [&](Backend& backend, const std::vector<float>& in) {
      const Tensor out = *backend.Allocate(kRows, n);
      backend.SwiGlu(ToBackend(backend, kRows, 2 * n, in), out);
      return FromBackend(backend, out);
    };
    const auto expected = run(*reference_, gate_up);
    // Highway states an error of one ulp for Exp, which counts as two roundings. Then follow a sum,
    // a quotient and a product.
    const auto bound = [&](size_t i) { return Gamma(6) * std::fabs(double{expected[i]}); };
    EXPECT_TRUE(Within(run(*cpu_, gate_up), expected, bound));
    auto dropped = gate_up;
    for (int64_t row = 0; row < kRows; ++row) dropped[static_cast<size_t>(row * 2 * n + n - 1)] = 0;
    EXPECT_FALSE(Within(run(*cpu_, dropped), expected, bound));
    auto neighbour = gate_up;
    std::copy_n(gate_up.begin(), 2 * n, neighbour.begin() + 2 * n);
    EXPECT_FALSE(Within(run(*cpu_, neighbour), expected, bound));
  }
}

TEST_P(ElementwiseTest, SwiGluSaturates) {
  const std::vector<float> gate_up = {-1000, 1000, -100, 0, 2, 2, 2, 2};
  const Tensor out = *cpu_->Allocate(1, 4);
  cpu_->SwiGlu(ToBackend(*cpu_, 1, 8, gate_up), out);
  const auto values = FromBackend(*cpu_, out);
  EXPECT_EQ(values[0], 0);
  EXPECT_EQ(values[1], 2000);
  EXPECT_LE(std::fabs(values[2]), 1e-38);
  EXPECT_EQ(values[3], 0);
}

TEST_P(ElementwiseTest, SwiGluKeepsNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Backend* backend : {cpu_.get(), reference_.get()}) {
    const Tensor out = *backend->Allocate(1, 40);
    std::vector<float> gate_up(80, 1.0f);
    gate_up[3] = gate_up[38] = gate_up[40 + 7] = gate_up[40 + 39] = nan;
    backend->SwiGlu(ToBackend(*backend, 1, 80, gate_up), out);
    const auto values = FromBackend(*backend, out);
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(std::isnan(values[i]), i == 3 || i == 38 || i == 7 || i == 39) << i;
  }
}

TEST_P(ElementwiseTest, AddIsExact) {
  for (const int64_t n : kSizes) {
    const auto x = RandomValues(kRows * n, 1), y = RandomValues(kRows * n, 2);
    const Tensor sum = ToBackend(*cpu_, kRows, n, x);
    cpu_->Add(sum, ToBackend(*cpu_, kRows, n, y));
    const auto values = FromBackend(*cpu_, sum);
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], x[i] + y[i]);
  }
}

TEST_P(ElementwiseTest, Rope) {
  for (const int64_t head_dim : {2, 6, 8, 34, 64, 80, 128}) {
    SCOPED_TRACE(head_dim);
    const int64_t heads = 3, half = head_dim / 2, cols = heads * head_dim;
    const auto x = RandomValues(kRows * cols, 1);
    const auto angles = RandomValues(kRows * half, 2, 3);
    std::vector<float> cosines, sines;
    for (const float angle : angles) {
      cosines.push_back(std::cos(angle));
      sines.push_back(std::sin(angle));
    }
    const auto run = [&](Backend& backend, const std::vector<float>& cos) {
      backend.BeginStep(
          {.tokens = {}, .rope_cos = cos, .rope_sin = sines, .sequences = {}, .logit_rows = {}});
      const Tensor rotated = ToBackend(backend, kRows, cols, x);
      backend.Rope(rotated, head_dim);
      backend.EndStep();
      return FromBackend(backend, rotated);
    };
    const auto expected = run(*reference_, cosines);
    const auto bound = [&](size_t i) {
      const auto row = static_cast<int64_t>(i) / cols, e = static_cast<int64_t>(i) % head_dim;
      const size_t partner =
          e < half ? i + static_cast<size_t>(half) : i - static_cast<size_t>(half);
      const auto angle = static_cast<size_t>(row * half + e % half);
      return Gamma(3) * (std::fabs(double{x[i]} * cosines[angle]) +
                         std::fabs(double{x[partner]} * sines[angle]));
    };
    EXPECT_TRUE(Within(run(*cpu_, cosines), expected, bound));
    auto neighbour = cosines;
    std::copy_n(cosines.begin(), half, neighbour.begin() + half);
    EXPECT_FALSE(Within(run(*cpu_, neighbour), expected, bound));
    auto dropped = cosines;
    dropped[static_cast<size_t>(half - 1)] = 1;
    EXPECT_FALSE(Within(run(*cpu_, dropped), expected, bound));
  }
}

INSTANTIATE_ON_EVERY_TARGET(ElementwiseTest);

}  // namespace
}  // namespace merope

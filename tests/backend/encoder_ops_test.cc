// Tests the ops of encoders in the reference back end against their definitions.
#include <cmath>

#include "tests/backend/support.h"

namespace merope {
namespace {

class EncoderOps : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = MakeReferenceBackend({Precision::kFp32, 2});
};

TEST_F(EncoderOps, LayerNorm) {
  constexpr int64_t kRows = 3, kCols = 11;
  const auto x = RandomValues(kRows * kCols, 1), gain = RandomValues(kCols, 2),
             bias = RandomValues(kCols, 3);
  const Tensor out = *backend_->Allocate(kRows, kCols);
  backend_->LayerNorm(ToBackend(*backend_, kRows, kCols, x), ToBackend(*backend_, 1, kCols, gain),
                      ToBackend(*backend_, 1, kCols, bias), 1e-5f, out);
  const auto found = FromBackend(*backend_, out);
  for (int64_t row = 0; row < kRows; ++row) {
    const auto at = [&](int64_t i) { return double{x[static_cast<size_t>(row * kCols + i)]}; };
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < kCols; ++i) mean += at(i) / kCols;
    for (int64_t i = 0; i < kCols; ++i) variance += (at(i) - mean) * (at(i) - mean) / kCols;
    for (int64_t i = 0; i < kCols; ++i) {
      const auto j = static_cast<size_t>(i);
      // The sum with the bias may cancel, so the bound is that of the two terms.
      const double scaled = (at(i) - mean) / std::sqrt(variance + double{1e-5f}) * double{gain[j]};
      EXPECT_NEAR(found[static_cast<size_t>(row * kCols + i)], scaled + double{bias[j]},
                  2 * kUnitRoundoff * (std::fabs(scaled) + std::fabs(double{bias[j]})));
    }
  }
}

TEST_F(EncoderOps, Gelu) {
  const std::vector<float> x = {-30, -3, -1, -0.1f, 0, 1e-6f, 0.5f, 2, 40};
  const auto n = std::ssize(x);
  const Tensor out = *backend_->Allocate(1, n);
  backend_->Gelu(ToBackend(*backend_, 1, n, x), out);
  const auto found = FromBackend(*backend_, out);
  // Values of x · Φ(x), from tables of the normal distribution.
  const double expected[] = {0, -0.00404969409, -0.15865525393, -0.04601721627,
                             0, 5.0000040e-7,   0.34573123063,  1.95449973610,
                             40};
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-7 * (1 + std::fabs(expected[i])));
}

// Each row attends to all rows of its sequence and to no row of another sequence.
TEST_F(EncoderOps, BidirectionalAttention) {
  constexpr int64_t kRows = 9, kHeads = 4, kKvHeads = 2, kDim = 6;
  const auto q = RandomValues(kRows * kHeads * kDim, 1),
             k = RandomValues(kRows * kKvHeads * kDim, 2),
             v = RandomValues(kRows * kKvHeads * kDim, 3);
  const Tensor out = *backend_->Allocate(kRows, kHeads * kDim);
  const SequenceRows sequences[] = {{0, 5, 0, {}}, {5, 4, 0, {}}};
  backend_->BeginStep({.tokens = {},
                       .rope_cos = {},
                       .rope_sin = {},
                       .sequences = sequences,
                       .logit_rows = {},
                       .kv = nullptr});
  backend_->BidirectionalAttention(ToBackend(*backend_, kRows, kHeads * kDim, q),
                                   ToBackend(*backend_, kRows, kKvHeads * kDim, k),
                                   ToBackend(*backend_, kRows, kKvHeads * kDim, v), kDim, 0.5f,
                                   out);
  backend_->EndStep();
  const auto found = FromBackend(*backend_, out);
  for (const SequenceRows& sequence : sequences)
    for (int64_t i = 0; i < sequence.n_rows; ++i)
      for (int64_t head = 0; head < kHeads; ++head) {
        const int64_t row = sequence.first_row + i, kv_head = head / (kHeads / kKvHeads);
        std::vector<double> weights;
        double total = 0;
        for (int64_t t = 0; t < sequence.n_rows; ++t) {
          double score = 0;
          for (int64_t e = 0; e < kDim; ++e)
            score += double{q[static_cast<size_t>((row * kHeads + head) * kDim + e)]} *
                     double{k[static_cast<size_t>(
                         ((sequence.first_row + t) * kKvHeads + kv_head) * kDim + e)]};
          weights.push_back(std::exp(0.5 * score));
          total += weights.back();
        }
        for (int64_t e = 0; e < kDim; ++e) {
          double sum = 0;
          for (int64_t t = 0; t < sequence.n_rows; ++t)
            sum += weights[static_cast<size_t>(t)] / total *
                   double{v[static_cast<size_t>(
                       ((sequence.first_row + t) * kKvHeads + kv_head) * kDim + e)]};
          // The bound covers a few roundings to fp32 (of scores and weights), for values of a few
          // units.
          EXPECT_NEAR(found[static_cast<size_t>((row * kHeads + head) * kDim + e)], sum, 1e-5);
        }
      }
}

TEST(Supports, TheCpuLacksWhatOnlyEncodersNeed) {
  const auto cpu = MakeCpuBackend({Precision::kBf16, 1});
  EXPECT_TRUE(cpu->Supports(Precision::kBf16, OpKind::kAttention));
  EXPECT_FALSE(cpu->Supports(Precision::kBf16, OpKind::kLayerNorm));
  EXPECT_FALSE(cpu->Supports(Precision::kBf16, OpKind::kGelu));
  EXPECT_FALSE(cpu->Supports(Precision::kBf16, OpKind::kBidirectionalAttention));
}

}  // namespace
}  // namespace merope

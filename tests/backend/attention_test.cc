#include <numeric>

#include "tests/backend/support.h"

namespace merope {
namespace {

struct Case {
  int64_t head_dim, n_heads, n_kv_heads, context, rows;
};
// Lengths around the ends of pages (64) and of the chunks in which long contexts are summed
// (1,024).
const Case kCases[] = {{2, 1, 1, 0, 1},     {8, 3, 1, 0, 7},     {16, 4, 2, 62, 3},
                       {34, 2, 2, 63, 66},  {64, 9, 3, 120, 9},  {64, 2, 1, 1020, 10},
                       {80, 4, 4, 1087, 1}, {128, 2, 1, 2100, 2}};

// Runs attention over a cache filled with `context` positions, in steps of at most `chunk` rows,
// and returns the outputs of the last `rows` positions. Pages lie in memory in a shuffled order.
std::vector<float> Attend(Backend& backend, const Case& c, const std::vector<float>& q,
                          const std::vector<float>& k, const std::vector<float>& v, int64_t chunk) {
  const int64_t total = c.context + c.rows, n_pages = (total + kPageTokens - 1) / kPageTokens;
  auto kv = backend.AllocateKv({1, c.n_kv_heads, c.head_dim}, n_pages + 1);
  std::vector<int32_t> pages(static_cast<size_t>(n_pages));
  for (int64_t i = 0; i < n_pages; ++i)
    pages[static_cast<size_t>(i)] = static_cast<int32_t>(n_pages - i);
  const int64_t q_width = c.n_heads * c.head_dim, kv_width = c.n_kv_heads * c.head_dim;
  const Tensor keys = ToBackend(backend, total, kv_width, k),
               values = ToBackend(backend, total, kv_width, v);
  const Tensor queries = ToBackend(backend, total, q_width, q),
               out = backend.Allocate(total, q_width);
  for (int64_t done = 0; done < total; done += chunk) {
    const int64_t n = std::min(chunk, total - done);
    const SequenceRows sequence{0, n, done, pages};
    backend.BeginStep({.tokens = {},
                       .rope_cos = {},
                       .rope_sin = {},
                       .sequences = std::span(&sequence, 1),
                       .logit_rows = {},
                       .kv = kv->get()});
    backend.StoreKv(0, keys.Rows(done, n), values.Rows(done, n));
    backend.Attention(0, queries.Rows(done, n), 1 / std::sqrt(static_cast<float>(c.head_dim)),
                      out.Rows(done, n));
    backend.EndStep();
  }
  return FromBackend(backend, out.Rows(c.context, c.rows));
}

class AttentionTest : public OnEveryTarget {
 protected:
  void Fill(const Case& c) {
    const int64_t total = c.context + c.rows;
    q_ = RandomValues(total * c.n_heads * c.head_dim, 1);
    k_ = RandomValues(total * c.n_kv_heads * c.head_dim, 2);
    v_ = RandomValues(total * c.n_kv_heads * c.head_dim, 3);
    // Every position's own key is made the one its queries look for, so that no position is too
    // light to be missed.
    const int64_t group = c.n_heads / c.n_kv_heads;
    for (int64_t t = 0; t < total; ++t)
      for (int64_t head = 0; head < c.n_kv_heads; ++head)
        for (int64_t e = 0; e < c.head_dim; ++e)
          k_[static_cast<size_t>((t * c.n_kv_heads + head) * c.head_dim + e)] +=
              q_[static_cast<size_t>((t * c.n_heads + head * group) * c.head_dim + e)];
  }

  // Bound on |out − expected| for one output: each score is off by at most its dot product's bound,
  // twice (its own and the maximum's), each probability by that, the exponential's ulp and, in
  // bf16, one ulp of 2^-7 where the two round to different sides; numerator and denominator by
  // their chains.
  bool Within(const Case& c, const std::vector<float>& expected,
              const std::vector<float>& out) const {
    const int64_t group = c.n_heads / c.n_kv_heads, d = c.head_dim;
    const double scale = 1 / std::sqrt(static_cast<double>(d));
    for (int64_t i = 0; i < c.rows; ++i)
      for (int64_t head = 0; head < c.n_heads; ++head) {
        const int64_t length = c.context + i + 1;
        std::vector<double> score(static_cast<size_t>(length));
        double score_error = 0;
        for (int64_t t = 0; t < length; ++t) {
          double dot = 0, magnitude = 0;
          for (int64_t e = 0; e < d; ++e) {
            const double product =
                Rounded(q_[static_cast<size_t>(((c.context + i) * c.n_heads + head) * d + e)]) *
                Rounded(k_[static_cast<size_t>((t * c.n_kv_heads + head / group) * d + e)]);
            dot += product;
            magnitude += std::fabs(product);
          }
          score[static_cast<size_t>(t)] = dot * scale;
          score_error =
              std::max(score_error, Gamma(static_cast<double>(d) + 4) * magnitude * scale);
        }
        const double max = *std::max_element(score.begin(), score.end());
        double total = 0;
        for (double& s : score) total += s = std::exp(s - max);
        const double ulp = precision() == Precision::kBf16 ? 0x1p-7 : 0;
        const double each =
            std::expm1(2 * score_error) + ulp + Gamma(static_cast<double>(length) + 8);
        for (int64_t e = 0; e < d; ++e) {
          double magnitude = 0;
          for (int64_t t = 0; t < length; ++t)
            magnitude += score[static_cast<size_t>(t)] / total *
                         std::fabs(Rounded(
                             v_[static_cast<size_t>((t * c.n_kv_heads + head / group) * d + e)]));
          const auto at = static_cast<size_t>((i * c.n_heads + head) * d + e);
          if (!(std::fabs(double{out[at]} - double{expected[at]}) <=
                2 * each / (1 - each) * magnitude))
            return false;
        }
      }
    return true;
  }

  std::vector<float> q_, k_, v_;
};

TEST_P(AttentionTest, LiesWithinTheBoundOfTheReference) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << "head_dim " << c.head_dim << ", context " << c.context);
    Fill(c);
    const auto expected = Attend(*reference_, c, q_, k_, v_, c.context + c.rows);
    EXPECT_TRUE(Within(c, expected, Attend(*cpu_, c, q_, k_, v_, c.context + c.rows)));
  }
}

TEST_P(AttentionTest, TheBoundCatchesADroppedPositionAndANeighboursRow) {
  for (const Case& c : kCases) {
    if (c.context + c.rows == 1) continue;  // a lone position has all the weight whatever its key
    SCOPED_TRACE(testing::Message() << "head_dim " << c.head_dim << ", context " << c.context);
    Fill(c);
    const auto expected = Attend(*reference_, c, q_, k_, v_, c.context + c.rows);
    auto values = v_;
    std::fill(values.end() - c.head_dim, values.end(), 0.0f);
    EXPECT_FALSE(Within(c, expected, Attend(*cpu_, c, q_, k_, values, c.context + c.rows)));
    auto queries = q_;
    const int64_t width = c.n_heads * c.head_dim;
    std::copy_n(q_.end() - 2 * width, width, queries.end() - width);
    EXPECT_FALSE(Within(c, expected, Attend(*cpu_, c, queries, k_, v_, c.context + c.rows)));
  }
}

TEST_P(AttentionTest, ChunksAndSingleStepsGiveTheSameBits) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << "head_dim " << c.head_dim << ", context " << c.context);
    Fill(c);
    const auto whole = Attend(*cpu_, c, q_, k_, v_, c.context + c.rows);
    for (const int64_t chunk : {1, 7, 64})
      EXPECT_EQ(whole, Attend(*cpu_, c, q_, k_, v_, chunk)) << "chunk " << chunk;
  }
}

INSTANTIATE_ON_EVERY_TARGET(AttentionTest);

}  // namespace
}  // namespace merope

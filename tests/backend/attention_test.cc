#include <numeric>

#include "backend/integer.h"
#include "tests/backend/support.h"

namespace merope {
namespace {

struct Case {
  int64_t head_dim, n_heads, n_kv_heads, context, rows;
};
// Lengths around the ends of pages (64 positions), and around the ends of the chunks in which long
// contexts are summed (1,024 positions).
const Case kCases[] = {{2, 1, 1, 0, 1},     {8, 3, 1, 0, 7},      {16, 4, 2, 62, 3},
                       {34, 2, 2, 63, 66},  {64, 9, 3, 120, 9},   {64, 2, 1, 1020, 10},
                       {80, 4, 4, 1087, 1}, {128, 2, 1, 2100, 2}, {260, 2, 1, 65, 3}};

// A value of `chunk`: one step for the context, and one step for the rows.
constexpr int64_t kContextThenRows = 0;

// Runs attention over `context` positions and then `rows` positions, in steps of at most `chunk`
// rows. Returns the outputs of the last `rows` positions. A step without one of these positions
// only stores its keys and values. The pages lie in memory in reverse order.
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
               out = *backend.Allocate(total, q_width);
  for (int64_t done = 0, n = 0; done < total; done += n) {
    const int64_t first = done < c.context ? c.context : c.rows;
    n = chunk == kContextThenRows ? first : std::min(chunk, total - done);
    const SequenceRows sequence{0, n, done, pages};
    backend.BeginStep({.tokens = {},
                       .rope_cos = {},
                       .rope_sin = {},
                       .sequences = std::span(&sequence, 1),
                       .logit_rows = {},
                       .kv = kv->get()});
    backend.StoreKv(0, keys.Rows(done, n), values.Rows(done, n));
    if (done + n > c.context)
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
    // Adds the query of each position to the key of the same position. Each query then gives its
    // own position a large weight, so that a test notices if a position is missing.
    const int64_t group = c.n_heads / c.n_kv_heads;
    for (int64_t t = 0; t < total; ++t)
      for (int64_t head = 0; head < c.n_kv_heads; ++head)
        for (int64_t e = 0; e < c.head_dim; ++e)
          k_[static_cast<size_t>((t * c.n_kv_heads + head) * c.head_dim + e)] +=
              q_[static_cast<size_t>((t * c.n_heads + head * group) * c.head_dim + e)];
    rounded_q_ = RoundedHeads(q_, c.head_dim);
    rounded_k_ = RoundedHeads(k_, c.head_dim);
    rounded_v_ = RoundedHeads(v_, c.head_dim);
  }

  // Returns the values as the products take them: quantized to int8, or rounded to the precision.
  std::vector<float> RoundedHeads(const std::vector<float>& values, int64_t head_dim) const {
    std::vector<float> rounded;
    std::vector<int8_t> q(static_cast<size_t>(head_dim));
    for (size_t at = 0; at < values.size(); at += q.size()) {
      const float scale =
          int8_ ? QuantizeActivations(std::span(values).subspan(at, q.size()), q.data()) : 0;
      for (size_t e = 0; e < q.size(); ++e)
        rounded.push_back(int8_ ? static_cast<float>(q[e]) * scale
                                : static_cast<float>(Rounded(values[at + e])));
    }
    return rounded;
  }

  // The scale of V at a position: the largest magnitude is 127 times the scale.
  double ScaleOfV(int64_t t, int64_t head, const Case& c) const {
    double largest = 0;
    for (int64_t e = 0; e < c.head_dim; ++e)
      largest = std::max(
          largest,
          std::fabs(double{v_[static_cast<size_t>((t * c.n_kv_heads + head) * c.head_dim + e)]}));
    return largest / 127;
  }

  // Checks a bound on |out − expected| for each output. A score is off by at most the bound of its
  // dot product. This error counts twice, because the maximum of the scores has the same error. A
  // probability is off by the error of its score, by one ulp of the exponential and, in bf16, by
  // one ulp of 2^-7 if the two back ends round to different sides. Numerator and denominator are
  // also off by the roundings of their chains.
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
                double{
                    rounded_q_[static_cast<size_t>(((c.context + i) * c.n_heads + head) * d + e)]} *
                double{rounded_k_[static_cast<size_t>((t * c.n_kv_heads + head / group) * d + e)]};
            dot += product;
            magnitude += std::fabs(product);
          }
          score[static_cast<size_t>(t)] = dot * scale;
          score_error =
              std::max(score_error, Gamma(static_cast<double>(d) + 4) * magnitude * scale);
        }
        const double max = *std::max_element(score.begin(), score.end());
        double total = 0, heaviest = 0;
        for (double& s : score) total += s = std::exp(s - max);
        const double ulp = !int8_ && precision() == Precision::kBf16 ? 0x1p-7 : 0;
        // In an int8 cache, a weight is a probability times the scale of V. The largest weight is
        // 65,280 steps.
        if (int8_)
          for (int64_t t = 0; t < length; ++t)
            heaviest =
                std::max(heaviest, score[static_cast<size_t>(t)] * ScaleOfV(t, head / group, c));
        const double steps = static_cast<double>(length) * 0.51 * heaviest / 65280 * 127 / total;
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
                2 * each / (1 - each) * magnitude + steps))
            return false;
        }
      }
    return true;
  }

  void TakeInt8Cache() {
    int8_ = true;
    cpu::SelectTarget(std::get<0>(GetParam()));
    cpu_ = MakeCpuBackend({.precision = precision(), .threads = 2, .kv = KvStorage::kInt8});
    cpu::SelectTarget("");
    reference_ =
        MakeReferenceBackend({.precision = precision(), .threads = 1, .kv = KvStorage::kInt8});
  }

  void ExpectWithinBound();
  void ExpectBoundCatches();
  void ExpectSameBits();
  void ExpectManySequencesToBeEachAlone();
  void ExpectNaNsToShow();
  static void ExpectCopiesToBePages(Backend& backend);

  bool int8_ = false;
  std::vector<float> q_, k_, v_;
  std::vector<float> rounded_q_, rounded_k_, rounded_v_;
};

void AttentionTest::ExpectWithinBound() {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << "head_dim " << c.head_dim << ", context " << c.context);
    Fill(c);
    const auto expected = Attend(*reference_, c, q_, k_, v_, kContextThenRows);
    EXPECT_TRUE(Within(c, expected, Attend(*cpu_, c, q_, k_, v_, kContextThenRows)));
  }
}

void AttentionTest::ExpectBoundCatches() {
  for (const Case& c : kCases) {
    if (c.context + c.rows == 1) continue;  // a single position has all the weight, for any key
    SCOPED_TRACE(testing::Message() << "head_dim " << c.head_dim << ", context " << c.context);
    Fill(c);
    const auto expected = Attend(*reference_, c, q_, k_, v_, kContextThenRows);
    auto values = v_;
    std::fill(values.end() - c.head_dim, values.end(), 0.0f);
    EXPECT_FALSE(Within(c, expected, Attend(*cpu_, c, q_, k_, values, kContextThenRows)));
    auto queries = q_;
    const int64_t width = c.n_heads * c.head_dim;
    std::copy_n(q_.end() - 2 * width, width, queries.end() - width);
    EXPECT_FALSE(Within(c, expected, Attend(*cpu_, c, queries, k_, v_, kContextThenRows)));
  }
}

void AttentionTest::ExpectSameBits() {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << "head_dim " << c.head_dim << ", context " << c.context);
    Fill(c);
    const auto expected = Attend(*cpu_, c, q_, k_, v_, kContextThenRows);
    for (const int64_t chunk : {int64_t{1}, int64_t{7}, int64_t{64}, c.context + c.rows})
      EXPECT_EQ(expected, Attend(*cpu_, c, q_, k_, v_, chunk)) << "chunk " << chunk;
  }
}

// A step with one token of each of many sequences gives the same bits as each sequence alone. In
// the step with many sequences, a thread takes several heads at a time. For a sequence alone, a
// thread takes one head at a time. The number of heads is not always a multiple of the number that
// a thread takes.
void AttentionTest::ExpectManySequencesToBeEachAlone() {
  for (const auto& [heads, kv_heads, dim] :
       {std::array<int64_t, 3>{6, 3, 34}, {8, 8, 64}, {14, 7, 80}, {40, 2, 16}}) {
    constexpr int64_t kSequences = 37;
    std::vector<std::vector<int32_t>> pages(kSequences);
    std::vector<SequenceRows> sequences;
    int32_t n_pages = 0;
    for (int64_t i = 0; i < kSequences; ++i) {
      const int64_t context = i * i % 150 + (i == 20 ? 1000 : 0);
      for (int64_t at = 0; at <= context; at += kPageTokens)
        pages[static_cast<size_t>(i)].push_back(n_pages++);
      sequences.push_back({i, 1, context, pages[static_cast<size_t>(i)]});
    }
    auto kv = cpu_->AllocateKv({2, kv_heads, dim}, n_pages);
    const auto begin = [&](std::span<const SequenceRows> of) {
      cpu_->BeginStep({.tokens = {},
                       .rope_cos = {},
                       .rope_sin = {},
                       .sequences = of,
                       .logit_rows = {},
                       .kv = kv->get()});
    };
    for (const SequenceRows& sequence : sequences) {
      const int64_t n = sequence.context + 1;
      const SequenceRows all{0, n, 0, sequence.pages};
      begin(std::span(&all, 1));
      for (const int64_t layer : {0, 1}) {
        const auto seed = static_cast<uint32_t>(10 * sequence.first_row + layer);
        const auto k = RandomValues(n * kv_heads * dim, seed);
        const auto v = RandomValues(n * kv_heads * dim, seed + 5);
        cpu_->StoreKv(layer, ToBackend(*cpu_, n, kv_heads * dim, k),
                      ToBackend(*cpu_, n, kv_heads * dim, v));
      }
      cpu_->EndStep();
    }
    const auto q = RandomValues(kSequences * heads * dim, 4);
    const Tensor queries = ToBackend(*cpu_, kSequences, heads * dim, q);
    const auto attend = [&](std::span<const SequenceRows> of) {
      const Tensor out = *cpu_->Allocate(kSequences, heads * dim);
      begin(of);
      cpu_->Attention(1, queries, 0.2f, out);
      cpu_->EndStep();
      return out;
    };
    const auto together = FromBackend(*cpu_, attend(sequences));
    for (int64_t i = 0; i < kSequences; ++i) {
      const Tensor out = attend(std::span(sequences).subspan(static_cast<size_t>(i), 1));
      const auto alone = FromBackend(*cpu_, out.Rows(i, 1));
      EXPECT_TRUE(std::ranges::equal(
          alone, std::span(together).subspan(static_cast<size_t>(i * heads * dim), alone.size())))
          << "sequence " << i << ", " << kv_heads << " heads of " << dim;
    }
  }
}

// A NaN in q, or in k or v of any position, makes the output of every row that attends to the
// position NaN.
void AttentionTest::ExpectNaNsToShow() {
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << "head_dim " << c.head_dim << ", context " << c.context);
    Fill(c);
    const auto kv_width = static_cast<size_t>(c.n_kv_heads * c.head_dim);
    const auto q_width = static_cast<size_t>(c.n_heads * c.head_dim);
    const auto total = static_cast<size_t>(c.context + c.rows);
    // Whether the last row is NaN in the query heads of the last K/V head.
    const auto shows = [&](Backend& backend, const std::vector<float>& q,
                           const std::vector<float>& k, const std::vector<float>& v) {
      const auto out = Attend(backend, c, q, k, v, kContextThenRows);
      return std::all_of(out.end() - c.n_heads / c.n_kv_heads * c.head_dim, out.end(),
                         [](float value) { return std::isnan(value); });
    };
    for (Backend* backend : {cpu_.get(), reference_.get()}) {
      EXPECT_FALSE(shows(*backend, q_, k_, v_));
      auto q = q_;
      for (int64_t i = 0; i < c.n_heads; ++i)
        q[total * q_width - 1 - static_cast<size_t>(i * c.head_dim)] = kNaN;
      EXPECT_TRUE(shows(*backend, q, k_, v_));
      for (const size_t position : {size_t{0}, total / 2, total - 1}) {
        auto k = k_, v = v_;
        k[(position + 1) * kv_width - 1] = kNaN;
        EXPECT_TRUE(shows(*backend, q_, k, v_)) << "k of " << position;
        std::fill_n(v.begin() + static_cast<int64_t>((position + 1) * kv_width) - c.head_dim,
                    c.head_dim, kNaN);
        EXPECT_TRUE(shows(*backend, q_, k_, v)) << "v of " << position;
      }
    }
  }
}

TEST_P(AttentionTest, ANaNShows) { ExpectNaNsToShow(); }
TEST_P(AttentionTest, ANaNShowsInAnInt8CacheToo) {
  TakeInt8Cache();
  ExpectNaNsToShow();
}
TEST_P(AttentionTest, LiesWithinTheBoundOfTheReference) { ExpectWithinBound(); }
TEST_P(AttentionTest, TheBoundCatchesADroppedPositionAndANeighboursRow) { ExpectBoundCatches(); }
TEST_P(AttentionTest, ChunksAndSingleStepsGiveTheSameBits) { ExpectSameBits(); }

// Copies a page. Then writes different second halves to the original and to the copy. Each page
// must have the content that it would have alone. Covers several layers and heads, and pages at
// both ends of the memory.
void AttentionTest::ExpectCopiesToBePages(Backend& backend) {
  constexpr int64_t kLayers = 3, kHeads = 2, kDim = 34, kRows = 40, kPages = 3;
  const auto values = RandomValues(4 * kRows * kHeads * kDim, 9);
  const auto rows = [&](int64_t i) {
    return ToBackend(backend, kRows / 2, kHeads * kDim,
                     std::span(values).subspan(static_cast<size_t>(i * kRows * kHeads * kDim / 2),
                                               static_cast<size_t>(kRows * kHeads * kDim / 2)));
  };
  auto kv = backend.AllocateKv({kLayers, kHeads, kDim}, kPages);
  ASSERT_TRUE(kv);
  // Writes half a page at context `half · kRows / 2`, with different values for each layer. Returns
  // the results of attention.
  const auto step = [&](int32_t page, int64_t half, int64_t from) {
    std::vector<float> results;
    const SequenceRows sequence{0, kRows / 2, half * kRows / 2, std::span(&page, 1)};
    backend.BeginStep({.tokens = {},
                       .rope_cos = {},
                       .rope_sin = {},
                       .sequences = std::span(&sequence, 1),
                       .logit_rows = {},
                       .kv = kv->get()});
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const Tensor out = *backend.Allocate(kRows / 2, kHeads * kDim);
      backend.StoreKv(layer, rows((from + layer) % 8), rows((from + layer + 3) % 8));
      backend.Attention(layer, rows(layer), 0.2f, out);
      const auto result = FromBackend(backend, out);
      results.insert(results.end(), result.begin(), result.end());
    }
    backend.EndStep();
    return results;
  };
  step(1, 0, 0);
  const auto expected = step(1, 1, 1), otherwise = step(1, 1, 2);
  ASSERT_NE(expected, otherwise);
  for (const int32_t to : {0, 2}) {
    step(to, 0, 5);  // the old content of the page
    step(to, 1, 5);
    backend.CopyKvPage(**kv, 1, to);
    EXPECT_EQ(step(1, 1, 1), expected);
    EXPECT_EQ(step(to, 1, 2), otherwise) << to;
    EXPECT_EQ(step(1, 1, 1), expected);
  }
}

TEST_P(AttentionTest, ManySequencesAreEachAsAlone) { ExpectManySequencesToBeEachAlone(); }

TEST_P(AttentionTest, ACopyOfAPageHasItsBits) {
  ExpectCopiesToBePages(*cpu_);
  ExpectCopiesToBePages(*reference_);
  TakeInt8Cache();
  ExpectCopiesToBePages(*cpu_);
  ExpectCopiesToBePages(*reference_);
}

TEST_P(AttentionTest, AnInt8CacheLiesWithinTheBoundOfTheReference) {
  TakeInt8Cache();
  ExpectWithinBound();
}
TEST_P(AttentionTest, TheBoundCatchesErrorsOfAnInt8CacheToo) {
  TakeInt8Cache();
  ExpectBoundCatches();
}
TEST_P(AttentionTest, AnInt8CacheRefusesHeadsThatAreTooLarge) {
  TakeInt8Cache();
  EXPECT_TRUE(cpu_->AllocateKv({1, 1, 1024}, 1));
  const auto refused = cpu_->AllocateKv({1, 1, 1026}, 1);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("at most 1024, found 1026"), std::string::npos);
}
TEST_P(AttentionTest, ManySequencesAreEachAsAloneInAnInt8CacheToo) {
  TakeInt8Cache();
  ExpectManySequencesToBeEachAlone();
}
TEST_P(AttentionTest, ChunksAndSingleStepsGiveTheSameBitsFromAnInt8Cache) {
  TakeInt8Cache();
  ExpectSameBits();
}

INSTANTIATE_ON_EVERY_TARGET(AttentionTest);

}  // namespace
}  // namespace merope

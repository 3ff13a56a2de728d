#include "report/error_sample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>

#include "base/json.h"
#include "base/mapped_file.h"
#include "tests/engine/tiny_model.h"

namespace merope {
namespace {

using Row = std::vector<double>;

std::vector<float> Logits(const Row& probabilities, double shift = 0) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + shift));
  return logits;
}

double Sum(const Row& values) { return std::accumulate(values.begin(), values.end(), 0.0); }
double Dot(const Row& a, const Row& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double Norm(const Row& a) { return std::sqrt(Dot(a, a)); }
Row Logs(const Row& p) {
  Row out;
  for (const double x : p) out.push_back(std::log(x));
  return out;
}
Row Less(const Row& a, const Row& b) {
  Row out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] - b[i]);
  return out;
}
Row Centred(Row a) {
  const double mean = Sum(a) / static_cast<double>(a.size());
  for (double& x : a) x -= mean;
  return a;
}

// Three positions of six tokens. The third position has no error.
const Row kP[] = {{0.6, 0.3, 0.0597, 3e-4, 0.04, 1e-9},
                  {0.11, 0.08, 0.05, 0.7, 0.05, 0.01},
                  {0.2, 0.5, 0.11, 0.09, 0.06, 0.04}};
const Row kQ[] = {{0.3, 0.6, 0.0597, 4e-4, 0.0399, 3e-9},
                  {0.1, 0.1, 0.05, 0.68, 0.06, 0.01},
                  {0.2, 0.5, 0.11, 0.09, 0.06, 0.04}};

ErrorSample Sample() {
  ErrorCollector collector(6);
  // A shift of all logits by the same value is no error.
  for (size_t i = 0; i < 3; ++i) collector.Add(Logits(kP[i], 2), Logits(kQ[i], 5));
  return collector.Finish();
}

TEST(ErrorCollector, MeansAndMaximaByTheirFormulas) {
  const ErrorSample sample = Sample();
  EXPECT_EQ(sample.positions, 3);
  EXPECT_EQ(sample.vocab_size, 6);
  double sigma2 = 0, logit_sigma2 = 0, l2 = 0, max_l2 = 0, cosine = 0, angle = 0, p_l2 = 0,
         max_p_l2 = 0, kl = 0, max_kl = 0, predicted = 0;
  for (size_t i = 0; i < 3; ++i) {
    const Row &p = kP[i], &q = kQ[i];
    const Row d = Less(Logs(q), Logs(p)), centred = Centred(d), logits = Centred(Logs(p));
    sigma2 += Dot(centred, centred) / 6;
    logit_sigma2 += Dot(logits, logits) / 6;
    const double relative = Norm(centred) / Norm(logits);
    l2 += relative;
    max_l2 = std::max(max_l2, relative);
    const double cos = Dot(p, q) / Norm(p) / Norm(q);
    cosine += cos;
    angle += std::sqrt(std::max(0.0, 1 - cos * cos));
    const double p_relative = Norm(Less(q, p)) / Norm(p);
    p_l2 += p_relative;
    max_p_l2 = std::max(max_p_l2, p_relative);
    const double divergence = -Dot(p, d);
    kl += divergence;
    max_kl = std::max(max_kl, divergence);
    Row square;
    for (const double x : d) square.push_back(x * x);
    predicted += (Dot(p, square) - divergence * divergence) / 2;
  }
  EXPECT_NEAR(sample.sigma, std::sqrt(sigma2 / 3), 1e-6);
  EXPECT_NEAR(sample.logit_sigma, std::sqrt(logit_sigma2 / 3), 1e-6);
  EXPECT_NEAR(sample.mean_relative_l2, l2 / 3, 1e-6);
  EXPECT_NEAR(sample.max_relative_l2, max_l2, 1e-6);
  EXPECT_NEAR(sample.mean_cosine, cosine / 3, 1e-6);
  // The bound of an angle of 0 is the square root of a rounding error.
  EXPECT_NEAR(sample.mean_angle_bound, angle / 3, 1e-3);
  EXPECT_NEAR(sample.mean_probability_l2, p_l2 / 3, 1e-6);
  EXPECT_NEAR(sample.max_probability_l2, max_p_l2, 1e-6);
  EXPECT_NEAR(sample.mean_kl, kl / 3, 1e-6);
  EXPECT_NEAR(sample.max_kl, max_kl, 1e-6);
  EXPECT_NEAR(sample.mean_kl_predicted, predicted / 3, 1e-6);
}

TEST(ErrorCollector, BinsAreDecadesOfTheProbability) {
  const ErrorSample sample = Sample();
  ASSERT_EQ(sample.bins.size(), 8u);
  for (size_t bin = 0; bin < 8; ++bin) {
    SCOPED_TRACE(bin);
    const double high = std::pow(10.0, -static_cast<double>(bin));
    EXPECT_NEAR(sample.bins[bin].high / high, 1, 1e-12);
    double tokens = 0, mass = 0, relative = 0, log_error = 0;
    for (size_t i = 0; i < 3; ++i)
      for (size_t t = 0; t < 6; ++t) {
        const double p = kP[i][t], q = kQ[i][t];
        if (p > high || (bin < 7 && p <= high / 10)) continue;
        ++tokens;
        mass += p / 3;
        relative += std::abs(q - p) / p;
        log_error += std::abs(std::log(q / p));
      }
    const ProbabilityBin& found = sample.bins[bin];
    EXPECT_EQ(static_cast<double>(found.tokens), tokens);
    EXPECT_NEAR(found.mass, mass, 1e-6);
    const double n = std::max(1.0, tokens);
    EXPECT_NEAR(found.mean_relative_error, relative / n, 1e-5);
    EXPECT_NEAR(found.mean_log_error, log_error / n, 1e-5);
  }
}

TEST(ErrorCollector, MarginsAndFlips) {
  const ErrorSample sample = Sample();
  ASSERT_EQ(sample.points.size(), 3u);
  EXPECT_EQ(sample.flips, 1);
  // The two most probable tokens in fp32. The change is that of the same two tokens in the target.
  const size_t first[] = {0, 3, 1}, second[] = {1, 0, 0};
  for (size_t i = 0; i < 3; ++i) {
    const double margin = std::log(kP[i][first[i]] / kP[i][second[i]]);
    EXPECT_NEAR(sample.points[i].margin, margin, 1e-6);
    EXPECT_NEAR(sample.points[i].change, std::log(kQ[i][first[i]] / kQ[i][second[i]]) - margin,
                2e-6);
    EXPECT_EQ(sample.points[i].flip, i == 0);
  }
}

// One of n logits is wrong by e. After centring, its error is e (n − 1)/n, and the error of each
// other logit is −e/n. The σ of these errors is e √(n − 1)/n. In units of σ, the wrong logit is at
// √(n − 1), and the other logits are at −1/√(n − 1).
TEST(ErrorCollector, HistogramOfOneWrongLogit) {
  const auto off = [](size_t n) {
    ErrorCollector collector(static_cast<int64_t>(n));
    std::vector<float> baseline(n), target(n);
    for (size_t i = 0; i < n; ++i) baseline[i] = target[i] = static_cast<float>(i % 5);
    target[7] += 2;
    collector.Add(baseline, target);
    return collector.Finish();
  };
  // 6 σ lies outside the histogram. −1/6 σ lies in the bin from −0.2 to 0.
  const ErrorSample outside = off(37);
  EXPECT_NEAR(outside.beyond_4_sigma, 1.0 / 37, 1e-12);
  EXPECT_NEAR(outside.histogram[19], 36.0 / 37 / 0.2, 1e-9);
  EXPECT_NEAR(Sum(outside.histogram), 36.0 / 37 / 0.2, 1e-9);
  // 3 σ lies in the bin that begins at 3.0 or, after rounding, in the bin that ends at 3.0. −1/3 σ
  // lies in the bin that begins at −0.4.
  const ErrorSample inside = off(10);
  EXPECT_EQ(inside.beyond_4_sigma, 0);
  EXPECT_NEAR(inside.histogram[34] + inside.histogram[35], 1.0 / 10 / 0.2, 1e-9);
  EXPECT_NEAR(inside.histogram[18], 9.0 / 10 / 0.2, 1e-9);
}

TEST(ErrorCollector, PositionsThatAreNoNumbersAreCountedAndLeftOut) {
  const std::vector<float> row = {1, 2, 3}, other = {1, 2, 5};
  const auto sample = [&](std::initializer_list<float> wrong) {
    ErrorCollector collector(3);
    collector.Add(row, other);
    for (const float value : wrong) {
      const std::vector<float> broken = {1, value, 2};
      collector.Add(broken, row);
      collector.Add(row, broken);
    }
    return collector.Finish();
  };
  const ErrorSample without = sample({});
  const ErrorSample with = sample({NAN, INFINITY, -INFINITY});
  EXPECT_EQ(without.not_finite, 0);
  EXPECT_EQ(with.not_finite, 6);
  EXPECT_EQ(with.positions, 1);
  EXPECT_EQ(with.mean_kl, without.mean_kl);
  EXPECT_EQ(with.sigma, without.sigma);
}

TEST(ErrorCollector, AListOfAllTokensIsTheWholeRow) {
  const std::vector<float> baseline = {2, 0.5, -1, 0.25}, target = {1.5, 1, -1.25, 0.75};
  double sum = 0;
  for (const float z : target) sum += std::exp(z);
  const std::vector<int32_t> ids = {0, 1, 3, 2};  // in descending order of the target
  std::vector<float> logprobs;
  for (const int32_t id : ids)
    logprobs.push_back(static_cast<float>(target[static_cast<size_t>(id)] - std::log(sum)));
  ErrorCollector whole(4), listed(4);
  whole.Add(baseline, target);
  listed.Add(baseline, ListedRow{.ids = ids, .logprobs = logprobs});
  const ErrorSample a = whole.Finish(), b = listed.Finish();
  for (const auto figure :
       {&ErrorSample::sigma, &ErrorSample::logit_sigma, &ErrorSample::mean_relative_l2,
        &ErrorSample::mean_cosine, &ErrorSample::mean_probability_l2, &ErrorSample::mean_kl,
        &ErrorSample::mean_kl_predicted})
    EXPECT_NEAR(a.*figure, b.*figure, 1e-6);
  EXPECT_EQ(a.histogram, b.histogram);
  for (size_t i = 0; i < a.bins.size(); ++i) EXPECT_EQ(a.bins[i].tokens, b.bins[i].tokens);
  ASSERT_EQ(b.points.size(), 1u);
  EXPECT_NEAR(a.points[0].change, b.points[0].change, 1e-6);
}

// p = (½, ¼, ¼), q = (0.4, 0.35, 0.25) of which the first two are listed.
TEST(ErrorCollector, TheUnlistedTokensCountAsOne) {
  const std::vector<float> baseline = {std::log(2.0f), 0, 0};
  const std::vector<int32_t> ids = {0, 1};
  const std::vector<float> logprobs = {std::log(0.4f), std::log(0.35f)};
  ErrorCollector collector(2);
  collector.Add(baseline, ListedRow{.ids = ids, .logprobs = logprobs});
  const ErrorSample sample = collector.Finish();
  const double d0 = std::log(0.4 / 0.5), d1 = std::log(0.35 / 0.25);
  const double mean = 0.5 * d0 + 0.25 * d1;  // the rest keeps its mass: d = 0
  EXPECT_NEAR(sample.mean_kl_predicted, (0.5 * d0 * d0 + 0.25 * d1 * d1 - mean * mean) / 2, 1e-6);
  EXPECT_NEAR(sample.mean_probability_l2, std::sqrt(0.02 / (0.25 + 0.0625)), 1e-6);
  EXPECT_EQ(sample.bins[0].tokens, 2);
  EXPECT_NEAR(sample.bins[0].mass, 0.75, 1e-6);
  EXPECT_EQ(sample.vocab_size, 2);
}

TEST(ErrorCollector, NoErrorIsTheMiddleAndNothingIsNothing) {
  ErrorCollector collector(3);
  collector.Add(std::vector<float>{1, 2, 3}, std::vector<float>{1, 2, 3});
  const ErrorSample same = collector.Finish();
  EXPECT_NEAR(same.histogram[20], 5, 1e-12);
  EXPECT_EQ(same.sigma, 0);
  const ErrorSample none = ErrorCollector(3).Finish();
  EXPECT_EQ(none.positions, 0);
  for (const double value : {none.sigma, none.logit_sigma, none.mean_relative_l2, none.mean_kl,
                             none.bins[0].mass, none.bins[0].mean_log_error, none.histogram[0],
                             none.beyond_4_sigma, none.max_kl, none.max_probability_l2})
    EXPECT_EQ(value, 0);
}

// Overwrites the weights in the safetensors file of an F32 checkpoint.
void Fill(const std::string& file, float (*weight)(bool matrix, int64_t row, int64_t column)) {
  const std::string text = *ReadFile(file);
  uint64_t header_size = 0;
  std::memcpy(&header_size, text.data(), 8);
  const Json header = Json::parse(text.substr(8, header_size));
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    const auto shape = tensor["shape"].get<std::vector<int64_t>>();
    const int64_t columns = shape.back(), rows = shape.size() > 1 ? shape[0] : 1;
    std::vector<float> values;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) values.push_back(weight(shape.size() > 1, r, c));
    out.seekp(
        static_cast<std::streamoff>(8 + header_size + tensor["data_offsets"][0].get<uint64_t>()));
    out.write(reinterpret_cast<const char*>(values.data()),
              static_cast<std::streamsize>(4 * values.size()));
  }
}

TEST(WeightRoundingError, OfEveryEighthRow) {
  const TinyCheckpoint files(100);
  // kBetween is 1 plus half a unit in the last place of bf16. kBetween rounds down to 1, which is
  // even, so its relative error is 2^-8 / (1 + 2^-8). In rows 0, 8, 16, … one of four weights is
  // kBetween, and the others are exact or zero. In the vectors and the other rows, every weight is
  // kBetween.
  constexpr float kBetween = 1 + 1.0F / 256;
  Fill(files.path() + "/model.safetensors", [](bool matrix, int64_t row, int64_t column) {
    if (!matrix || row % 8 != 0) return kBetween;
    return column % 4 == 0 ? kBetween : column % 4 == 1 ? 0.0F : 1.5F;
  });
  const auto checkpoint = Checkpoint::Open(files.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_NEAR(WeightRoundingError(*checkpoint), 1.0 / 257 / 2, 1e-9);
}

}  // namespace
}  // namespace merope

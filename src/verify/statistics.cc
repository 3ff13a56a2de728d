#include "verify/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <random>

#include "base/error.h"

namespace merope {
namespace {

// The continued fraction of the incomplete beta function, by Lentz's method. The fraction converges
// fast if x < (a + 1)/(a + b + 2).
double BetaContinuedFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300, kPrecision = 1e-15;
  constexpr int kMaxTerms = 10000;
  const auto nonzero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1, d = 1 / nonzero(1 - (a + b) * x / (a + 1)), value = d;
  for (int m = 1; m <= kMaxTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonzero(1 + even * d);
    c = nonzero(1 + even / c);
    value *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + odd * d);
    c = nonzero(1 + odd / c);
    value *= c * d;
    if (std::abs(c * d - 1) < kPrecision) break;
  }
  return value;
}

// Returns x with I_x(a, b) = probability, by bisection.
double BetaQuantile(double a, double b, double probability) {
  double low = 0, high = 1;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    (RegularizedBeta(a, b, middle) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

Interval PercentileInterval(std::vector<double> resampled, double confidence) {
  return {Quantile(resampled, (1 - confidence) / 2), Quantile(resampled, (1 + confidence) / 2)};
}

}  // namespace

double NormalCdf(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

double RegularizedBeta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double log_front =
      std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
  if (x < (a + 1) / (a + b + 2)) return std::exp(log_front) * BetaContinuedFraction(a, b, x) / a;
  return 1 - std::exp(log_front) * BetaContinuedFraction(b, a, 1 - x) / b;
}

double ChiSquaredTail(double x, int64_t degrees) {
  CHECK(degrees >= 1);
  if (x <= 0) return 1;
  // Q(a, z), the regularised upper incomplete gamma function: the series of P(a, z) for small z,
  // and Legendre's continued fraction for large z, by Lentz's method.
  const double a = static_cast<double>(degrees) / 2, z = x / 2;
  const double front = std::exp(a * std::log(z) - z - std::lgamma(a));
  constexpr double kPrecision = 1e-15, kTiny = 1e-300;
  constexpr int kMaxTerms = 10000;
  if (z < a + 1) {
    double term = 1 / a, sum = term;
    for (int n = 1; n <= kMaxTerms && term > sum * kPrecision; ++n)
      sum += term *= z / (a + static_cast<double>(n));
    return 1 - front * sum;
  }
  double b = z + 1 - a, c = 1 / kTiny, d = 1 / b, value = d;
  for (int n = 1; n <= kMaxTerms; ++n) {
    const double factor = -static_cast<double>(n) * (static_cast<double>(n) - a);
    b += 2;
    d = factor * d + b;
    c = b + factor / c;
    d = 1 / (std::abs(d) < kTiny ? kTiny : d);
    if (std::abs(c) < kTiny) c = kTiny;
    value *= c * d;
    if (std::abs(c * d - 1) < kPrecision) break;
  }
  return front * value;
}

double KolmogorovTail(double distance, int64_t n) {
  CHECK(n >= 1);
  const double root = std::sqrt(static_cast<double>(n));
  const double lambda = (root + 0.12 + 0.11 / root) * distance;
  if (lambda < 0.2) return 1;  // the series converges slowly; the value is 1 to 12 digits
  double sum = 0;
  for (int k = 1; k <= 100; ++k) {
    const double term = std::exp(-2 * k * k * lambda * lambda);
    sum += k % 2 == 1 ? term : -term;
    if (term < 1e-16) break;
  }
  return std::clamp(2 * sum, 0.0, 1.0);
}

double UniformDistance(std::vector<double> values) {
  std::ranges::sort(values);
  const double n = static_cast<double>(values.size());
  double distance = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double at = static_cast<double>(i);
    distance = std::max({distance, values[i] - at / n, (at + 1) / n - values[i]});
  }
  return distance;
}

Interval ClopperPearson(double successes, double trials, double confidence) {
  CHECK(successes >= 0 && successes <= trials && trials > 0);
  const double tail = (1 - confidence) / 2, failures = trials - successes;
  return {successes == 0 ? 0 : BetaQuantile(successes, failures + 1, tail),
          failures == 0 ? 1 : BetaQuantile(successes + 1, failures, 1 - tail)};
}

Interval PoissonInterval(double mean, double confidence) {
  CHECK(mean >= 0);
  if (mean == 0) return {0, 0};
  const auto quantile = [mean](double probability) {
    double cumulative = 0;
    for (double k = 0;; ++k) {
      cumulative += std::exp(k * std::log(mean) - mean - std::lgamma(k + 1));
      // Rounding may keep the sum below `probability`. No quantile that a caller asks for lies this
      // far in the tail, so the loop ends here.
      if (cumulative >= probability || k > mean + 40 * std::sqrt(mean) + 100) return k;
    }
  };
  return {quantile((1 - confidence) / 2), quantile((1 + confidence) / 2)};
}

double Quantile(std::span<const double> values, double q) {
  CHECK(!values.empty() && q >= 0 && q <= 1);
  std::vector<double> sorted(values.begin(), values.end());
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = sorted.begin() + static_cast<ptrdiff_t>(place);
  std::nth_element(sorted.begin(), below, sorted.end());
  const double fraction = place - std::floor(place);
  if (fraction == 0) return *below;
  const double above = *std::min_element(below + 1, sorted.end());
  return *below + fraction * (above - *below);
}

ClusterBootstrap::ClusterBootstrap(int64_t n_clusters)
    : n_clusters_(n_clusters), draws_(static_cast<size_t>(kResamples * n_clusters)) {
  CHECK(n_clusters > 0 && n_clusters < (1 << 16));
  // The C++ standard fixes the output of the generator, but not of the library's distributions.
  std::mt19937_64 random(kSeed);
  for (int resample = 0; resample < kResamples; ++resample) {
    uint16_t* row = draws_.data() + resample * n_clusters;
    for (int64_t i = 0; i < n_clusters; ++i)
      ++row[((random() >> 32) * static_cast<uint64_t>(n_clusters)) >> 32];
  }
}

Interval ClusterBootstrap::Ratio(std::span<const double> numerator,
                                 std::span<const double> denominator, double confidence) const {
  CHECK(std::ssize(numerator) == n_clusters_ && std::ssize(denominator) == n_clusters_);
  std::vector<double> ratios;
  ratios.reserve(kResamples);
  for (int resample = 0; resample < kResamples; ++resample) {
    const auto draws = Draws(resample);
    double above = 0, below = 0;
    for (size_t i = 0; i < draws.size(); ++i) {
      above += draws[i] * numerator[i];
      below += draws[i] * denominator[i];
    }
    // 0 / 0: the resample shows only that both sums are equal, so the ratio is 1.
    ratios.push_back(below != 0   ? above / below
                     : above == 0 ? 1
                                  : std::numeric_limits<double>::infinity());
  }
  return PercentileInterval(std::move(ratios), confidence);
}

Interval ClusterBootstrap::QuantileInterval(std::span<const double> values,
                                            std::span<const int32_t> clusters, double q,
                                            double confidence) const {
  CHECK(values.size() == clusters.size() && !values.empty());
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return values[a] > values[b]; });
  std::vector<int64_t> sizes(static_cast<size_t>(n_clusters_));
  for (const int32_t cluster : clusters) ++sizes[static_cast<size_t>(cluster)];
  std::vector<double> quantiles;
  quantiles.reserve(kResamples);
  for (int resample = 0; resample < kResamples; ++resample) {
    const auto draws = Draws(resample);
    int64_t total = 0;
    for (size_t i = 0; i < draws.size(); ++i) total += draws[i] * sizes[i];
    if (total == 0) continue;  // the resample has only clusters without values
    // Counts the values from the largest down. The quantile is the first value at which the count
    // exceeds (1 − q) · (total − 1).
    const double above = (1 - q) * static_cast<double>(total - 1);
    double passed = 0;
    double value = values[order.back()];
    for (const uint32_t i : order) {
      passed += draws[static_cast<size_t>(clusters[i])];
      if (passed > above) {
        value = values[i];
        break;
      }
    }
    quantiles.push_back(value);
  }
  if (quantiles.empty()) return {};
  return PercentileInterval(std::move(quantiles), confidence);
}

double ClusterBootstrap::DesignEffect(std::span<const double> successes,
                                      std::span<const double> trials) {
  const double n = std::accumulate(trials.begin(), trials.end(), 0.0);
  const double rate = std::accumulate(successes.begin(), successes.end(), 0.0) / n;
  const double binomial = rate * (1 - rate) / n;
  if (binomial <= 0) return 1;
  // The variance of a ratio of sums over clusters, to first order. The variance of many resamples
  // tends to this value.
  double squares = 0;
  for (size_t i = 0; i < trials.size(); ++i) {
    const double excess = successes[i] - rate * trials[i];
    squares += excess * excess;
  }
  const double k = static_cast<double>(trials.size());
  return k < 2 ? 1 : std::max(1.0, squares * k / (k - 1) / (n * n) / binomial);
}

}  // namespace merope

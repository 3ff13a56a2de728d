#include "bench/distribution.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace merope {

Distribution Summarize(std::vector<double> values) {
  CHECK(!values.empty());
  std::ranges::sort(values);
  const auto at = [&](double share) {
    const double position = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(position);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (values[above] - values[below]) * (position - std::floor(position));
  };
  double sum = 0;
  for (const double value : values) sum += value;
  return {sum / static_cast<double>(values.size()),
          values.front(),
          at(0.1),
          at(0.5),
          at(0.9),
          at(0.99),
          values.back()};
}

double StudentT975(int degrees) {
  const double n = degrees;
  const double scale =
      std::exp(std::lgamma((n + 1) / 2) - std::lgamma(n / 2)) / std::sqrt(n * std::numbers::pi);
  const auto density = [&](double t) { return scale * std::pow(1 + t * t / n, -(n + 1) / 2); };
  // P(0 < T < t) by Simpson's rule.
  const auto mass = [&](double t) {
    constexpr int kIntervals = 2000;
    const double h = t / kIntervals;
    double sum = density(0) + density(t);
    for (int i = 1; i < kIntervals; ++i) sum += (i % 2 == 1 ? 4 : 2) * density(i * h);
    return sum * h / 3;
  };
  double low = 0, high = 13;  // the largest quantile is 12.7, at one degree of freedom
  while (high - low > 1e-6) {
    const double middle = (low + high) / 2;
    (mass(middle) < 0.475 ? low : high) = middle;
  }
  return low;
}

MeanRatio MeanOfRatios(const std::vector<double>& ratios) {
  CHECK(!ratios.empty());
  const auto n = static_cast<double>(ratios.size());
  double mean = 0, squares = 0;
  for (const double ratio : ratios) mean += std::log(ratio) / n;
  for (const double ratio : ratios) squares += std::pow(std::log(ratio) - mean, 2);
  double half = std::numeric_limits<double>::quiet_NaN();
  if (n > 1) half = StudentT975(static_cast<int>(n) - 1) * std::sqrt(squares / (n - 1) / n);
  return {std::exp(mean), std::exp(mean - half), std::exp(mean + half)};
}

std::string ToText(const MeanRatio& ratio) {
  if (std::isnan(ratio.low)) return fmt::format("{:.3f}", ratio.mean);
  return fmt::format("{:.3f} ({:.3f}-{:.3f})", ratio.mean, ratio.low, ratio.high);
}

}  // namespace merope

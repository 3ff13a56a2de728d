// The statistics of the verdicts: exact intervals, and the bootstrap over prompts. Results are
// deterministic, because the seed is fixed. Called by the suite and by `merope report`. The
// functions are pure and ClusterBootstrap is immutable: any thread may use them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/verdict.h"

namespace merope {

double NormalCdf(double x);
// The regularised incomplete beta function I_x(a, b).
double RegularizedBeta(double a, double b, double x);

// The survival function of the chi-squared distribution: P(X ≥ x) at these degrees of freedom ≥ 1.
double ChiSquaredTail(double x, int64_t degrees);
// The p-value of the Kolmogorov–Smirnov test of n ≥ 1 values against the uniform distribution on
// [0, 1], by Stephens' approximation (1970). distance: the largest of |F_n(u) − u|.
double KolmogorovTail(double distance, int64_t n);
// The largest distance between the empirical distribution of the values and the uniform one.
double UniformDistance(std::vector<double> values);

// The two-sided Clopper–Pearson interval of the proportion successes / trials. Both arguments may
// be fractional: the caller may pass an effective sample size in place of a count.
Interval ClopperPearson(double successes, double trials, double confidence);

// The central interval of a Poisson variable with this mean: the quantiles at (1 − confidence)/2
// and (1 + confidence)/2.
Interval PoissonInterval(double mean, double confidence);

// The q-quantile, interpolated linearly between order statistics (NumPy's default). values may be
// in any order and must not be empty.
double Quantile(std::span<const double> values, double q);

// The cluster bootstrap. A resample draws prompts with replacement; each drawn prompt brings all
// its positions. There are kResamples resamples.
class ClusterBootstrap {
 public:
  static constexpr int kResamples = 2000;
  static constexpr uint64_t kSeed = 20260520;
  explicit ClusterBootstrap(int64_t n_clusters);

  // The percentile interval of Σ numerator / Σ denominator. Both spans have one sum per cluster.
  // For the interval of a mean, the numerator is the sum of the values and the denominator is their
  // count.
  Interval Ratio(std::span<const double> numerator, std::span<const double> denominator,
                 double confidence) const;
  // The percentile interval of the q-quantile of values. values[i] belongs to clusters[i].
  Interval QuantileInterval(std::span<const double> values, std::span<const int32_t> clusters,
                            double q, double confidence) const;
  // The design effect of a rate: the variance of the rate between clusters over the binomial
  // variance, at least 1. Both spans have one sum per cluster.
  static double DesignEffect(std::span<const double> successes, std::span<const double> trials);

 private:
  std::span<const uint16_t> Draws(int resample) const {
    return std::span(draws_).subspan(static_cast<size_t>(resample * n_clusters_),
                                     static_cast<size_t>(n_clusters_));
  }
  int64_t n_clusters_;
  // (kResamples, n_clusters): how often a resample draws each cluster.
  std::vector<uint16_t> draws_;
};

}  // namespace merope

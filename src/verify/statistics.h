// The statistics behind the verdicts: exact intervals, and the bootstrap over prompts.
// Deterministic: the seed is fixed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "verify/verdict.h"

namespace merope {

double NormalCdf(double x);
// The regularised incomplete beta function I_x(a, b).
double RegularizedBeta(double a, double b, double x);

// The two-sided Clopper–Pearson interval of a proportion: successes of trials. Both may be
// fractions (an effective sample size in place of a count).
Interval ClopperPearson(double successes, double trials, double confidence);

// The central interval of a Poisson variable of this mean: the quantiles at (1 − confidence)/2 and
// (1 + confidence)/2.
Interval PoissonInterval(double mean, double confidence);

// The q-quantile, interpolated linearly between order statistics (NumPy's default). values: in any
// order, at least one.
double Quantile(std::span<const double> values, double q);

// The cluster bootstrap: prompts are drawn with replacement, each with all its positions,
// kResamples times.
class ClusterBootstrap {
 public:
  static constexpr int kResamples = 2000;
  static constexpr uint64_t kSeed = 20260520;
  explicit ClusterBootstrap(int64_t n_clusters);

  // Percentile interval of Σ numerator / Σ denominator, sums by cluster (a mean: values summed and
  // counted by cluster).
  Interval Ratio(std::span<const double> numerator, std::span<const double> denominator,
                 double confidence) const;
  // Percentile interval of the q-quantile of values, values[i] lying in clusters[i].
  Interval QuantileInterval(std::span<const double> values, std::span<const int32_t> clusters,
                            double q, double confidence) const;
  // The design effect of a rate: its variance between prompts as a multiple of the binomial one, at
  // least 1. Sums by cluster.
  static double DesignEffect(std::span<const double> successes, std::span<const double> trials);

 private:
  std::span<const uint16_t> Draws(int resample) const {
    return std::span(draws_).subspan(static_cast<size_t>(resample * n_clusters_),
                                     static_cast<size_t>(n_clusters_));
  }
  int64_t n_clusters_;
  std::vector<uint16_t> draws_;  // (kResamples, n_clusters): how often each cluster is drawn
};

}  // namespace merope

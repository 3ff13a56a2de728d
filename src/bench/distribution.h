// Summarizes figures of repeated runs: distributions, and means of ratios. Called by the
// benchmarks. Pure functions: any thread may call them.
#pragma once

#include <string>
#include <vector>

namespace merope {

struct Distribution {
  double mean = 0, min = 0, p10 = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};
// Percentiles interpolate linearly between the two nearest values. values must not be empty.
Distribution Summarize(std::vector<double> values);

// The geometric mean of ratios, and its 95 % interval. The interval is Student's t interval of the
// logarithms of the ratios. For a single ratio, low and high are NaN.
struct MeanRatio {
  double mean = 0, low = 0, high = 0;
};
MeanRatio MeanOfRatios(const std::vector<double>& ratios);
// "1.054 (0.990-1.121)". A single ratio has no interval, and gives "1.054".
std::string ToText(const MeanRatio& ratio);

// The 0.975 quantile of Student's t distribution, by numerical integration of the density and
// bisection. degrees ≥ 1.
double StudentT975(int degrees);

}  // namespace merope

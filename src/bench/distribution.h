// Figures over repeated runs.
#pragma once

#include <string>
#include <vector>

namespace merope {

struct Distribution {
  double mean = 0, min = 0, p10 = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};
// Percentiles interpolate between the two nearest values. At least one value.
Distribution Summarize(std::vector<double> values);

// A geometric mean of ratios, and its 95 % interval: Student's t on their logarithms. NaN bounds
// for a single ratio.
struct MeanRatio {
  double mean = 0, low = 0, high = 0;
};
MeanRatio MeanOfRatios(const std::vector<double>& ratios);
// "1.054 (0.990-1.121)"; of a single ratio, which has no interval, "1.054".
std::string ToText(const MeanRatio& ratio);

// The 0.975 quantile of Student's t distribution: its density integrated numerically, then
// bisected. degrees ≥ 1.
double StudentT975(int degrees);

}  // namespace merope

// A figure over repeated runs.
#pragma once

#include <vector>

namespace merope {

struct Distribution {
  double mean = 0, min = 0, p10 = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};
// Percentiles interpolate between the two nearest values. At least one value.
Distribution Summarize(std::vector<double> values);

}  // namespace merope

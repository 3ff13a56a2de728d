#include "bench/distribution.h"

#include <algorithm>
#include <cmath>

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

}  // namespace merope

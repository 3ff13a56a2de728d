// Collects values of positions, grouped by prompt. The figures and the gates are computed from
// these series. Used on the suite's thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "verify/figures.h"
#include "verify/kinds.h"

namespace merope {

// Returns a figure of one position. Returns nullopt if the position has no value (no next token).
using Extract = std::function<std::optional<double>(const RowMetrics&)>;

// (q − p)² at the prompt's next token.
inline std::optional<double> SquaredDelta(const RowMetrics& m) {
  if (!m.has_next) return std::nullopt;
  return (m.q_next - m.p_next) * (m.q_next - m.p_next);
}

// exp |ln q − ln p| − 1 at the prompt's next token. The bound keeps sums finite.
inline std::optional<double> TokenError(const RowMetrics& m) {
  if (!m.has_next) return std::nullopt;
  return std::expm1(std::min(std::abs(m.ln_q_next - m.ln_p_next), 100.0));
}

// The values of the positions, and the sums and counts of the prompts. A cluster is a prompt.
struct Series {
  std::vector<double> values;
  std::vector<int32_t> clusters;     // the prompt's index of each value
  std::vector<double> sums, counts;  // (n_clusters)

  explicit Series(size_t n_clusters) : sums(n_clusters), counts(n_clusters) {}
  void Add(int32_t cluster, double value) {
    values.push_back(value);
    clusters.push_back(cluster);
    sums[static_cast<size_t>(cluster)] += value;
    counts[static_cast<size_t>(cluster)] += 1;
  }
  double Mean() const { return Total(sums) / Total(counts); }
  static double Total(std::span<const double> x) {
    return std::accumulate(x.begin(), x.end(), 0.0);
  }
};

template <class Record>
Series Collect(std::span<const Record> records, size_t n_prompts, RowMetrics Record::* metrics,
               const Extract& extract) {
  Series series(n_prompts);
  for (const Record& record : records)
    if (const std::optional<double> value = extract(record.*metrics))
      series.Add(record.prompt, *value);
  return series;
}

}  // namespace merope

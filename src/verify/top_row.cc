#include "verify/top_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace merope {

bool IsLogprob(float ln) { return std::isfinite(ln) && static_cast<double>(ln) <= kLogprobSlack; }

std::optional<TopRowFault> FindFault(std::span<const int32_t> ids, std::span<const float> logprobs,
                                     int64_t vocab) {
  std::vector<int32_t> sorted(ids.begin(), ids.end());
  std::ranges::sort(sorted);
  if (!sorted.empty() && (sorted.front() < 0 || sorted.back() >= vocab))
    return TopRowFault{true, fmt::format("expected token ids from 0 to {}, found {}", vocab - 1,
                                         sorted.front() < 0 ? sorted.front() : sorted.back())};
  if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
    return TopRowFault{true, fmt::format("expected each token once, found {} again", *twice)};
  double mass = 0;
  for (const float ln : logprobs) mass += std::exp(static_cast<double>(ln));
  if (!std::ranges::all_of(logprobs, IsLogprob) || mass > 1 + kLogprobSlack)
    return TopRowFault{
        false,
        fmt::format("expected logarithms of probabilities of at most 1 together, found {:.6g}",
                    mass)};
  return std::nullopt;
}

}  // namespace merope

// Checks a row of most probable tokens that a file or a server gives, before it is compared. Any
// thread may call it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace merope {

struct TopRowFault {
  bool of_ids = false;  // the ids are wrong; else the logprobs
  std::string message;  // "expected …, found …"
};

// Logprobs are rounded, so a probability, or the sum of the row's, may exceed 1 by this much.
inline constexpr double kLogprobSlack = 1e-3;
bool IsLogprob(float ln);

// ids and logprobs: of one row, in any order. Each id must lie in [0, vocab) and stand once.
std::optional<TopRowFault> FindFault(std::span<const int32_t> ids, std::span<const float> logprobs,
                                     int64_t vocab);

}  // namespace merope

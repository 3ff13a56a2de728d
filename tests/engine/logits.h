// Rows of logits for tests.
#pragma once

#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

namespace merope {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Logits whose softmax gives these probabilities.
inline std::vector<float> Logs(std::initializer_list<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

}  // namespace merope

// Turns a row of logits into a token. No state but the caller's random numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"

namespace merope {

// vLLM's fields and rules: temperature < 1e-5 is greedy; top_k 0 or −1 is off.
struct SamplingParams {
  double temperature = 0;
  double top_p = 1, min_p = 0;
  int64_t top_k = 0;
  std::optional<uint64_t> seed;
};
// Names the field, the range and the value found.
Status Validate(const SamplingParams& params);

class Sampler {
 public:
  // A request without a seed draws one from the system.
  explicit Sampler(const SamplingParams& params);
  // logits (vocab_size). Ties in greedy choice go to the smaller id. The n-th call of two samplers with the same parameters
  // and logits gives the same token.
  int32_t Sample(std::span<const float> logits);

 private:
  SamplingParams params_;
  uint64_t seed_ = 0, draws_ = 0;
  std::vector<std::pair<float, int32_t>> candidates_;
};

// ln softmax(logits)[token], computed in double.
double LogProb(std::span<const float> logits, int32_t token);

}  // namespace merope

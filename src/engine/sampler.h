// Turns a row of logits into a token. No state but the place in a stream of random numbers, and
// scratch memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"

namespace merope {

// vLLM's fields and rules: temperature < 1e-5 is greedy, and one below 0.01 counts as 0.01; top_k 0
// or −1 is off.
struct SamplingParams {
  double temperature = 0;
  double top_p = 1, min_p = 0;
  int64_t top_k = 0;
  std::optional<uint64_t> seed = {};

  bool greedy() const { return temperature < 1e-5; }
};
// Names the field, the range and the value found.
Status Validate(const SamplingParams& params);

class Sampler {
 public:
  // A request without a seed draws one from the system.
  explicit Sampler(const SamplingParams& params);
  // logits (vocab_size). Ties in greedy choice, and at the borders of top_k and top_p, go to the
  // smaller id. −∞ is never chosen while another is there; NaN neither. The n-th call of two
  // samplers with the same parameters and logits gives the same token.
  int32_t Sample(std::span<const float> logits);

 private:
  void CutToTopK(size_t k);
  void CutToTopP(double p);

  SamplingParams params_;
  uint64_t seed_ = 0, draws_ = 0;
  std::vector<std::pair<float, int32_t>> candidates_;  // (logit, id)
};

// ln softmax(logits)[token], computed in double.
double LogProb(std::span<const float> logits, int32_t token);

}  // namespace merope

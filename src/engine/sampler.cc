#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "engine/random.h"

namespace merope {
namespace {

using Candidate = std::pair<float, int32_t>;

// Likeliest first; equals by id.
bool Before(const Candidate& a, const Candidate& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

int32_t Greedy(std::span<const float> logits) {
  size_t best = 0;
  float best_logit = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > best_logit)) continue;
    best = i;
    best_logit = logits[i];
  }
  return static_cast<int32_t>(best);
}

}  // namespace

Status Validate(const SamplingParams& params) {
  if (!(params.temperature >= 0 && std::isfinite(params.temperature)))
    return Err("temperature: expected 0 or more, found {}", params.temperature);
  if (!(params.top_p > 0 && params.top_p <= 1))
    return Err("top_p: expected a number above 0, up to 1, found {}", params.top_p);
  if (!(params.min_p >= 0 && params.min_p <= 1))
    return Err("min_p: expected a number from 0 to 1, found {}", params.min_p);
  if (params.top_k < -1)
    return Err("top_k: expected −1 or 0 (off), or 1 or more, found {}", params.top_k);
  return {};
}

Sampler::Sampler(const SamplingParams& params) : params_(params) {
  params_.temperature = std::max(params_.temperature, params_.greedy() ? 0 : 0.01);
  if (params_.greedy()) return;
  if (params_.seed) {
    seed_ = *params_.seed;
  } else {
    std::random_device system;
    seed_ = uint64_t{system()} << 32 | system();
  }
}

int32_t Sampler::Sample(std::span<const float> logits) {
  const int32_t best = Greedy(logits);
  if (params_.greedy()) return best;
  const double u = UniformAt(seed_, draws_++);
  const auto top = static_cast<double>(logits[static_cast<size_t>(best)]);
  if (!std::isfinite(top)) return best;

  // p ≥ min_p · p_max, said of logits.
  const double floor = params_.min_p > 0 ? top + std::log(params_.min_p) * params_.temperature
                                         : std::numeric_limits<double>::lowest();
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    if (static_cast<double>(logits[i]) >= floor)
      candidates_.emplace_back(logits[i], static_cast<int32_t>(i));
  if (params_.top_k > 0) CutToTopK(static_cast<size_t>(params_.top_k));

  const auto weight = [&](const Candidate& candidate) {
    return std::exp((static_cast<double>(candidate.first) - top) / params_.temperature);
  };
  if (params_.top_p < 1) CutToTopP(params_.top_p);
  double total = 0;
  for (const Candidate& candidate : candidates_) total += weight(candidate);
  double left = u * total;
  for (const Candidate& candidate : candidates_)
    if ((left -= weight(candidate)) < 0) return candidate.second;
  return best;  // only where rounding left a rest
}

void Sampler::CutToTopK(size_t k) {
  if (k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(k),
                   candidates_.end(), Before);
  candidates_.resize(k);
}

// Keeps the fewest likeliest candidates whose probabilities sum to p or more. Few are needed as a
// rule, so that a growing head of the list is sorted, not the list.
void Sampler::CutToTopP(double p) {
  const auto top =
      static_cast<double>(std::min_element(candidates_.begin(), candidates_.end(), Before)->first);
  const auto weight = [&](const Candidate& candidate) {
    return std::exp((static_cast<double>(candidate.first) - top) / params_.temperature);
  };
  double total = 0;
  for (const Candidate& candidate : candidates_) total += weight(candidate);
  double sum = 0;
  size_t sorted = 0;
  for (size_t kept = 0; kept < candidates_.size(); ++kept) {
    if (kept == sorted) {
      const size_t head = std::min(candidates_.size(), std::max<size_t>(64, 4 * sorted));
      const auto begin = candidates_.begin() + static_cast<std::ptrdiff_t>(sorted);
      const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(head);
      if (end != candidates_.end()) std::nth_element(begin, end, candidates_.end(), Before);
      std::sort(begin, end, Before);
      sorted = head;
    }
    sum += weight(candidates_[kept]);
    if (sum >= p * total) {
      candidates_.resize(kept + 1);
      return;
    }
  }
}

double LogProb(std::span<const float> logits, int32_t token) {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const float logit : logits) top = std::max(top, static_cast<double>(logit));
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return static_cast<double>(logits[static_cast<size_t>(token)]) - top - std::log(sum);
}

}  // namespace merope

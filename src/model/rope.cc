#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace merope {
namespace {

// Llama 3.1: the frequencies of long wavelengths are divided by the factor. Short wavelengths keep
// their frequency. Wavelengths between these get a blend of both.
double Llama3Frequency(double frequency, const RopeScaling& rope) {
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < original / rope.high_freq_factor) return frequency;
  if (wavelength > original / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth = (original / wavelength - rope.low_freq_factor) /
                        (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

// YaRN (arXiv 2309.00071): the index, as a real number, of the pair whose angle makes `rotations`
// full turns within the original context.
double YarnDimension(double rotations, const ModelConfig& config) {
  const auto original = static_cast<double>(config.rope.original_max_position_embeddings);
  return static_cast<double>(config.head_dim) *
         std::log(original / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.rope_theta));
}

double YarnFrequency(double frequency, int64_t pair, const ModelConfig& config) {
  double low = YarnDimension(config.rope.beta_fast, config);
  double high = YarnDimension(config.rope.beta_slow, config);
  if (config.rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(config.head_dim - 1));
  if (low == high) high += 0.001;  // as in the original code, against a division by zero
  const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
  return frequency / config.rope.factor * ramp + frequency * (1 - ramp);
}

}  // namespace

std::vector<float> InverseFrequencies(const ModelConfig& config) {
  std::vector<float> frequencies(static_cast<size_t>(config.head_dim / 2));
  for (int64_t i = 0; i < config.head_dim / 2; ++i) {
    const double exponent = static_cast<double>(2 * i) / static_cast<double>(config.head_dim);
    double frequency =
        static_cast<float>(1.0 / double{static_cast<float>(std::pow(config.rope_theta, exponent))});
    switch (config.rope.kind) {
      case RopeKind::kNone:
        break;
      case RopeKind::kLinear:
        frequency /= config.rope.factor;
        break;
      case RopeKind::kLlama3:
        frequency = Llama3Frequency(frequency, config.rope);
        break;
      case RopeKind::kYarn:
        frequency = YarnFrequency(frequency, i, config);
        break;
    }
    if (!config.rope_divisors.empty()) frequency /= config.rope_divisors[static_cast<size_t>(i)];
    frequencies[static_cast<size_t>(i)] = static_cast<float>(frequency);
  }
  return frequencies;
}

void RopeAngles(std::span<const float> inverse_frequencies, int64_t position, float amplitude,
                float* cos, float* sin) {
  for (size_t i = 0; i < inverse_frequencies.size(); ++i) {
    const float angle = static_cast<float>(position) * inverse_frequencies[i];
    cos[i] = static_cast<float>(std::cos(double{angle})) * amplitude;
    sin[i] = static_cast<float>(std::sin(double{angle})) * amplitude;
  }
}

}  // namespace merope

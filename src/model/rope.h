// Rotary position embedding: the angles a config asks for, as HF transformers' modeling_rope_utils
// computes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/config.h"

namespace merope {

// Radians a position, for each of the head_dim / 2 pairs: theta^(−2i/head_dim), scaled as
// config.rope says. fp32, as there.
std::vector<float> InverseFrequencies(const ModelConfig& config);

// cos and sin (each head_dim / 2 values) of position times frequency, the angle rounded to fp32
// first, times amplitude.
void RopeAngles(std::span<const float> inverse_frequencies, int64_t position, float amplitude,
                float* cos, float* sin);

}  // namespace merope

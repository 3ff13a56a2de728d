// Rotary position embedding: the angles that a config asks for, computed as in Hugging Face
// transformers' modeling_rope_utils. Pure functions. Llama calls them when it loads and in each
// step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/config.h"

namespace merope {

// Radians per position for each of the head_dim / 2 pairs: theta^(−2i/head_dim), scaled as
// config.rope says. The values are fp32, as in transformers.
std::vector<float> InverseFrequencies(const ModelConfig& config);

// Writes cos and sin of the angles, multiplied by amplitude (head_dim / 2 values each). An angle is
// position times frequency, rounded to fp32.
void RopeAngles(std::span<const float> inverse_frequencies, int64_t position, float amplitude,
                float* cos, float* sin);

}  // namespace merope

// Configs of small Llamas, for tests that make their own checkpoints.
#pragma once

#include "checkpoint/config.h"

namespace merope {

struct LlamaSizes {
  int64_t hidden = 48, intermediate = 96, layers = 2, heads = 4, kv_heads = 2, head_dim = 12;
  int64_t vocabulary = 400, context = 128;
};

inline ModelConfig LlamaConfig(const LlamaSizes& sizes) {
  ModelConfig config;
  config.hidden_size = sizes.hidden;
  config.intermediate_size = sizes.intermediate;
  config.num_layers = sizes.layers;
  config.num_heads = sizes.heads;
  config.num_kv_heads = sizes.kv_heads;
  config.head_dim = sizes.head_dim;
  config.vocab_size = sizes.vocabulary;
  config.max_position_embeddings = sizes.context;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  return config;
}

}  // namespace merope

// Checkpoints of random weights, in exactly the form that transformers writes: for tests, and to
// measure a model's shape where its weights cannot be had.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "checkpoint/config.h"

namespace merope {

struct SynthOptions {
  uint64_t seed = 0;
  DType dtype = DType::kBF16;  // F32, F16 or BF16
  double std_dev = 0.02;       // of the matrices and biases; norms are 1 ± std_dev
  int64_t max_shard_bytes =
      0;               // 0: one model.safetensors; else shards of at most this, and an index
  bool force = false;  // write into a directory that is not empty
};

// Writes config.json, generation_config.json, model.safetensors and, where the vocabulary has room
// for one, tokenizer.json and tokenizer_config.json. The same config, seed and dtype give the same
// bytes anywhere.
Status Synthesize(const std::string& directory, const ModelConfig& config,
                  const SynthOptions& options,
                  const std::function<void(int64_t done, int64_t total)>& progress = {});

// The config of a model known by name ("pleias-rag-350m").
Result<ModelConfig> KnownConfig(std::string_view name);

}  // namespace merope

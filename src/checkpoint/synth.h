// Writes checkpoints of random weights, in exactly the form that transformers writes. Tests use
// these checkpoints, and so do measurements of a model whose weights are not available.
// `merope synth` and the Python module call Synthesize.
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
  // 0: one model.safetensors. Else: shards of at most this many bytes, and an index. A tensor that
  // is larger has a shard of its own.
  int64_t max_shard_bytes = 0;
  bool force = false;  // write into a directory that is not empty
};

// Writes config.json, generation_config.json and model.safetensors. If the vocabulary is large
// enough for a tokenizer, Synthesize also writes tokenizer.json and tokenizer_config.json. The same
// config, seed and dtype give the same bytes on every machine.
Status Synthesize(const std::string& directory, const ModelConfig& config,
                  const SynthOptions& options,
                  const std::function<void(int64_t done, int64_t total)>& progress = {});

// The config of a model that is known by its name ("pleias-rag-350m").
Result<ModelConfig> KnownConfig(std::string_view name);

}  // namespace merope

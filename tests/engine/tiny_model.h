// A small random model for tests that generate.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "checkpoint/synth.h"
#include "engine/load.h"
#include "tests/support/temp_dir.h"

namespace merope {

inline ModelConfig TinyConfig(int64_t context) {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = 48;
  config.intermediate_size = 96;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 12;
  config.vocab_size = 400;
  config.max_position_embeddings = context;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.eos_token_ids = {2};
  config.dtype = DType::kF32;
  return config;
}

// Its files, for as long as it lives.
class TinyCheckpoint {
 public:
  explicit TinyCheckpoint(int64_t context) {
    const Status written =
        Synthesize(directory_.path(), TinyConfig(context),
                   {.seed = 11, .dtype = DType::kF32, .std_dev = 0.3, .force = true});
    CHECK(written.has_value(), "{}", written.error().message);
  }
  const std::string& path() const { return directory_.path(); }

  LoadedModel Load(RuntimeOptions runtime) const {
    auto loaded = LoadModel({path(), std::move(runtime)});
    CHECK(loaded.has_value(), "{}", loaded.error().message);
    return std::move(*loaded);
  }

 private:
  TempDir directory_;
};

}  // namespace merope

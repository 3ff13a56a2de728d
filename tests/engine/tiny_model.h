// A small random model for tests that generate.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "checkpoint/synth.h"
#include "engine/load.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {

// Owns the files of the model, in a temporary directory.
class TinyCheckpoint {
 public:
  // With a std_dev of 1e15, the weights are finite and the scores overflow.
  explicit TinyCheckpoint(int64_t context, double std_dev = 0.3)
      : TinyCheckpoint(LlamaSizes{.context = context}, {2}, std_dev) {}
  explicit TinyCheckpoint(const LlamaSizes& sizes, std::vector<int32_t> eos_token_ids = {2},
                          double std_dev = 0.3) {
    ModelConfig config = LlamaConfig(sizes);
    config.eos_token_ids = std::move(eos_token_ids);
    const Status written =
        Synthesize(directory_.path(), config,
                   {.seed = 11, .dtype = DType::kF32, .std_dev = std_dev, .force = true});
    CHECK(written.has_value(), "{}", written.error().message);
  }
  const std::string& path() const { return directory_.path(); }

  LoadedModel Load(const RuntimeOptions& runtime) const {
    auto loaded = LoadModel({path(), runtime});
    CHECK(loaded.has_value(), "{}", loaded.error().message);
    return std::move(*loaded);
  }

 private:
  TempDir directory_;
};

}  // namespace merope

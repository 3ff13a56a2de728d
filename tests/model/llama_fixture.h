// A test fixture with a small model, in every precision.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/synth.h"
#include "model/llama.h"
#include "tests/support/hidden_backend.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {

inline ModelConfig TinyConfig() {
  ModelConfig config = LlamaConfig({.hidden = 84,
                                    .intermediate = 172,
                                    .layers = 3,
                                    .heads = 6,
                                    .head_dim = 18,  // not hidden / heads
                                    .vocabulary = 301,
                                    .context = 1500});
  config.attention_bias = true;
  return config;
}

// The name of the back end under test: the CPU back end or, with MEROPE_TEST_BACKEND=hidden, a back
// end whose memory the host cannot read.
inline std::string_view TestedBackend() {
  static const std::string name = [] {
    RegisterBackend("hidden",
                    [](const BackendOptions& options) -> Result<std::unique_ptr<Backend>> {
                      return std::make_unique<HiddenBackend>(options);
                    });
    const char* chosen = std::getenv("MEROPE_TEST_BACKEND");
    return std::string(chosen == nullptr ? kCpuBackend : chosen);
  }();
  return name;
}

// A back end and the model that it holds.
struct Engine {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Llama> model;
};

class LlamaTest : public testing::TestWithParam<Precision> {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TempDir;
    // The weights are large enough that attention is far from uniform.
    const Status written =
        Synthesize(directory_->path(), TinyConfig(),
                   {.seed = 7, .dtype = DType::kF32, .std_dev = 0.2, .force = true});
    ASSERT_TRUE(written) << written.error().message;
  }
  static void TearDownTestSuite() {
    delete directory_;
    directory_ = nullptr;
  }

  static Engine Load(int threads, bool reference = false, const LlamaOptions& options = {},
                     WeightStorage weights = WeightStorage::kAuto) {
    auto checkpoint = Checkpoint::Open(directory_->path());
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    Engine engine;
    const BackendOptions cpu{GetParam(), threads, weights};
    auto backend = MakeBackend(reference ? kReferenceBackend : TestedBackend(), cpu);
    EXPECT_TRUE(backend) << backend.error().message;
    engine.backend = std::move(*backend);
    auto model = Llama::Load(*checkpoint, *engine.backend, options);
    EXPECT_TRUE(model) << model.error().message;
    engine.model = std::move(*model);
    return engine;
  }

  static std::vector<int32_t> RandomTokens(int64_t n, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<int32_t> tokens(static_cast<size_t>(n));
    for (int32_t& token : tokens) token = static_cast<int32_t>(random() % 301);
    return tokens;
  }

  // Returns the logits at every position (tokens, vocab). The prefill runs in steps of at most
  // `chunk` tokens.
  static std::vector<float> AllLogits(Llama& model, const std::vector<int32_t>& tokens,
                                      int64_t chunk) {
    Sequence sequence(model.kv());
    std::vector<float> all;
    for (size_t done = 0; done < tokens.size();) {
      const size_t n = std::min(static_cast<size_t>(chunk), tokens.size() - done);
      const Status status =
          model.Extend(&sequence, std::span(tokens).subspan(done, n), static_cast<int64_t>(n),
                       [&](int64_t, std::span<const float> logits) {
                         all.insert(all.end(), logits.begin(), logits.end());
                       });
      EXPECT_TRUE(status) << status.error().message;
      done += n;
    }
    return all;
  }

  static inline TempDir* directory_ = nullptr;
};

}  // namespace merope

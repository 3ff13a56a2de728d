// Runs a checkpoint's model on some tokens, for tests that compare checkpoints and precisions.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "model/llama.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"

namespace merope {

// No dimension is a multiple of a group. With `biases`, all projections have biases and the head is
// a matrix of its own. Otherwise there are no biases, and the head is tied to the embedding.
inline ModelConfig OddConfig(bool biases) {
  ModelConfig config = LlamaConfig(
      {.hidden = 52, .intermediate = 100, .heads = 6, .head_dim = 14, .vocabulary = 97});
  config.attention_bias = config.mlp_bias = biases;
  config.tie_word_embeddings = !biases;
  return config;
}

struct Outcome {
  std::vector<float> logits;  // of every position
  int64_t weight_bytes = 0;
};

enum class Arithmetic : uint8_t { kCpu, kReference };

// Returns the outcome of one prefill of 60 tokens, on two threads.
inline Outcome RunModel(const std::string& path, Precision precision,
                        Arithmetic arithmetic = Arithmetic::kCpu) {
  Outcome outcome;
  const auto checkpoint = Checkpoint::Open(path);
  EXPECT_TRUE(checkpoint) << ErrorOf(checkpoint);
  if (!checkpoint) return outcome;
  const BackendOptions options{precision, 2, WeightStorage::kPlain};
  const auto backend = arithmetic == Arithmetic::kReference ? MakeReferenceBackend(options)
                                                            : MakeCpuBackend(options);
  const auto model = Llama::Load(*checkpoint, *backend, {});
  EXPECT_TRUE(model) << ErrorOf(model);
  if (!model) return outcome;
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 60; ++i)
    tokens.push_back(i * i % static_cast<int32_t>(checkpoint->config().vocab_size));
  Sequence sequence((*model)->kv());
  const Status done = (*model)->Extend(&sequence, tokens, 60, [&](int64_t, auto logits) {
    outcome.logits.insert(outcome.logits.end(), logits.begin(), logits.end());
  });
  EXPECT_TRUE(done) << ErrorOf(done);
  outcome.weight_bytes = (*model)->weight_bytes();
  return outcome;
}

inline double RelativeL2(const std::vector<float>& values, const std::vector<float>& expected) {
  EXPECT_EQ(values.size(), expected.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double{values[i]} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

}  // namespace merope

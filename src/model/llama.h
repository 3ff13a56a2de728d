// The Llama model: weights loaded into a back end, and THE forward pass, over one ragged batch of
// sequences. One thread at a time (the engine's).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "model/kv_cache.h"
#include "model/llama_weights.h"

namespace merope {

struct LlamaOptions {
  int64_t max_model_len = 0;       // 0: the checkpoint's max_position_embeddings
  int64_t max_batch_tokens = 512;  // rows of one forward pass at most
  // Rows of logits that one forward pass may give: at a vocabulary of 65,536 a row takes 256 KiB.
  int64_t max_logit_rows = 128;
  int64_t kv_tokens = 0;  // KV cache capacity; 0: max_model_len
  bool eager = false;     // run op by op, not along a plan
};

// Sees every intermediate: its name (HF's module name, as "layers.3.self_attn.q_proj"), and its
// value in the back end.
using Observer = std::function<void(std::string_view name, const Tensor& value)>;

// A sequence's part of one forward pass: tokens that follow those already in its cache.
struct SequenceStep {
  Sequence* sequence = nullptr;
  std::span<const int32_t> tokens;
  int64_t n_logits =
      1;  // logits are wanted after the last n_logits of these tokens (0 … tokens.size())
};

class Llama {
 public:
  // The back end must outlive the model. Missing, mis-shaped and non-finite weights are refused by
  // name.
  static Result<std::unique_ptr<Llama>> Load(const Checkpoint& checkpoint, Backend& backend,
                                             const LlamaOptions& options,
                                             const LoadProgress& progress = {});

  const ModelConfig& config() const { return config_; }
  Backend& backend() const { return backend_; }
  int64_t max_model_len() const { return options_.max_model_len; }
  int64_t max_batch_tokens() const { return options_.max_batch_tokens; }
  int64_t max_logit_rows() const { return logits_.rows; }
  int64_t weight_bytes() const { return weights_.bytes; }  // resident
  // Of them, what a decode step reads: all but the embedding table where the head is another
  // matrix.
  int64_t step_weight_bytes() const {
    return weights_.bytes - (weights_.head == weights_.embed ? 0 : weights_.embed->bytes);
  }
  // Of K and V, for one position.
  int64_t kv_token_bytes() const {
    return backend_.KvTokenBytes({config_.num_layers, config_.num_kv_heads, config_.head_dim});
  }
  KvCache& kv() { return *kv_; }
  // Whether passes run op by op from now on, although there is a plan. The results are the same.
  void set_eager(bool eager) { options_.eager = eager; }
  const Plan* plan() const { return plan_.get(); }  // nullptr where passes run op by op
  double capture_seconds() const { return capture_seconds_; }

  // Runs all steps as one batch (at most max_batch_tokens tokens) and advances the sequences.
  // logits gets (sum of n_logits, vocab_size), in the steps' order. Errors: a sequence past
  // max_model_len, no page left, a token outside the vocabulary; nothing has changed then.
  Status Forward(std::span<const SequenceStep> steps, std::vector<float>* logits);

  // One sequence of any length through Forward in chunks; row(position, logits) is called for each
  // of the last n_logits tokens. The logits live until row returns.
  Status Extend(Sequence* sequence, std::span<const int32_t> tokens, int64_t n_logits,
                const std::function<void(int64_t position, std::span<const float> logits)>& row);

  void set_observer(Observer observer) { observer_ = std::move(observer); }

 private:
  Llama(const ModelConfig& config, Backend& backend, const LlamaOptions& options);
  // In place, where weights are integers: x · H, or with the residual stream's signs, x · Q or x ·
  // Qᵀ.
  void Turn(const Tensor& x, const Tensor& signs = {}, bool inverse = false);
  void RunLayers(int64_t n_tokens, int64_t n_logits);
  void Observe(std::string_view name, int64_t layer, const Tensor& value) const;

  ModelConfig config_;
  Backend& backend_;
  LlamaOptions options_;
  LlamaWeights weights_;
  std::vector<float> inverse_frequencies_;  // (head_dim / 2)
  float rope_amplitude_ = 1;
  std::unique_ptr<KvCache> kv_;
  std::unique_ptr<Plan> plan_;
  double capture_seconds_ = 0;
  Observer observer_;

  // Activations, for max_batch_tokens rows.
  Tensor x_, normed_, qkv_, attention_, gate_up_, activated_, delta_, logit_x_, logits_;
  // The step's description, rebuilt by Forward.
  std::vector<int32_t> tokens_, logit_rows_;
  std::vector<float> rope_cos_, rope_sin_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace merope

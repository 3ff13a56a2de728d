// The model, of any architecture: its weights in a back end, and the only forward pass, over one
// ragged batch of sequences. Only one thread uses a Llama at a time: the engine's thread, if there
// is an engine.
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
  int64_t max_batch_tokens = 512;  // maximum number of rows of one forward pass
  // Maximum number of rows of logits of one forward pass. With a vocabulary of 65,536, one row
  // takes 256 KiB.
  int64_t max_logit_rows = 128;
  int64_t kv_tokens = 0;  // KV cache capacity in tokens; 0: max_model_len
  bool eager = false;     // run op by op, without a plan
};

// Receives every intermediate result: its name (Hugging Face's module name, for example
// "layers.3.self_attn.q_proj") and its value in the back end.
using Observer = std::function<void(std::string_view name, const Tensor& value)>;

// One sequence's part of a forward pass. `tokens` follow the tokens already in the sequence's
// cache.
struct SequenceStep {
  Sequence* sequence = nullptr;
  std::span<const int32_t> tokens;
  // Logits are wanted after the last n_logits of these tokens: 0 to tokens.size().
  int64_t n_logits = 1;
};

class Llama {
 public:
  // The back end must outlive the model. Errors name the weight that is missing, has the wrong
  // shape, or has NaN or infinite values.
  static Result<std::unique_ptr<Llama>> Load(const Checkpoint& checkpoint, Backend& backend,
                                             const LlamaOptions& options,
                                             const LoadProgress& progress = {});
  // Loads the weights from any source, not only from a checkpoint's files.
  static Result<std::unique_ptr<Llama>> Load(const ModelConfig& config, const WeightSource& weights,
                                             Backend& backend, const LlamaOptions& options);

  const ModelConfig& config() const { return config_; }
  Backend& backend() const { return backend_; }
  int64_t max_model_len() const { return options_.max_model_len; }
  int64_t max_batch_tokens() const { return options_.max_batch_tokens; }
  int64_t max_logit_rows() const { return logits_.rows; }
  int64_t weight_bytes() const { return weights_.bytes; }  // resident
  // The part of weight_bytes() that a decode step reads. The embedding table does not count if the
  // head is another matrix.
  int64_t step_weight_bytes() const {
    return weights_.bytes - (weights_.head == weights_.embed ? 0 : weights_.embed->bytes);
  }
  // Bytes of K and V for one position.
  int64_t kv_token_bytes() const {
    return backend_.KvTokenBytes({config_.num_layers, config_.num_kv_heads, config_.head_dim});
  }
  KvCache& kv() { return *kv_; }
  // If eager, forward passes run op by op from now on, even if there is a plan. The results are
  // bit-identical.
  void set_eager(bool eager) { options_.eager = eager; }
  // The plan for the largest steps; nullptr if there is no plan.
  const Plan* plan() const { return plans_.empty() ? nullptr : plans_.back().plan.get(); }
  double capture_seconds() const { return capture_seconds_; }  // time to capture all plans

  // Runs all steps as one batch of at most max_batch_tokens tokens, and advances the sequences.
  // `logits` gets (sum of n_logits, vocab_size), in the order of the steps. Errors: a sequence
  // longer than max_model_len, no free page, a token outside the vocabulary. On an error, no
  // sequence changes.
  Status Forward(std::span<const SequenceStep> steps, std::vector<float>* logits);

  // Runs any number of tokens of one sequence through Forward, in chunks. Calls
  // row(position, logits) for each of the last n_logits tokens; position is the token's position in
  // the sequence. The logits are valid until row returns.
  Status Extend(Sequence* sequence, std::span<const int32_t> tokens, int64_t n_logits,
                const std::function<void(int64_t position, std::span<const float> logits)>& row);

  void set_observer(Observer observer) { observer_ = std::move(observer); }

 private:
  Llama(const ModelConfig& config, Backend& backend, const LlamaOptions& options);
  // Does nothing unless the weights are rotated (int8). Multiplies x in place by H. With the signs
  // of the residual stream, multiplies x by Q instead, or by Qᵀ if `inverse`.
  void Rotate(const Tensor& x, const Tensor& signs = {}, bool inverse = false);
  using LoadWeights = std::function<Result<LlamaWeights>()>;
  static Result<std::unique_ptr<Llama>> Make(const ModelConfig& config, Backend& backend,
                                             const LlamaOptions& options, const LoadWeights& load);
  void CapturePlans(const KvShape& shape);
  Plan* PlanFor(int64_t rows) const;
  void RunLayers(int64_t n_tokens, int64_t n_logits);
  void Observe(std::string_view name, int64_t layer, const Tensor& value) const;

  ModelConfig config_;
  Backend& backend_;
  LlamaOptions options_;
  LlamaWeights weights_;
  std::vector<float> inverse_frequencies_;  // (head_dim / 2)
  float rope_amplitude_ = 1;
  std::unique_ptr<KvCache> kv_;
  struct SizedPlan {
    int64_t rows = 0;
    std::unique_ptr<Plan> plan;
  };
  std::vector<SizedPlan> plans_;  // in ascending order of rows
  double capture_seconds_ = 0;
  Observer observer_;

  // Activations. logit_x_ and logits_ have min(max_logit_rows, max_batch_tokens) rows. The other
  // tensors have max_batch_tokens rows.
  Tensor x_, normed_, qkv_, attention_, gate_up_, activated_, delta_, logit_x_, logits_;
  // The description of the step. Forward rebuilds it each time.
  std::vector<int32_t> tokens_, logit_rows_;
  std::vector<float> rope_cos_, rope_sin_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace merope

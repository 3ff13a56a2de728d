#include "model/llama.h"

#include <algorithm>
#include <cmath>

#include "base/stopwatch.h"
#include "model/rope.h"
#include "model/rotation.h"

namespace merope {
namespace {

// The ops that RunLayers issues for every model. If the weights are rotated (int8), RunLayers also
// issues Hadamard, and if the heads of q and k are normalized, HeadNorm.
constexpr OpKind kOps[] = {OpKind::kEmbed,  OpKind::kRmsNorm, OpKind::kMatMul,
                           OpKind::kRope,   OpKind::kStoreKv, OpKind::kAttention,
                           OpKind::kSwiGlu, OpKind::kAdd,     OpKind::kGatherRows};

Status CheckSupport(const Backend& backend, OpKind op) {
  const Precision precision = backend.precision();
  if (backend.Supports(precision, op)) return {};
  return Err("{}: expected a back end that has {} in {}, found none", backend.name(), OpName(op),
             PrecisionName(precision));
}

}  // namespace

Llama::Llama(const ModelConfig& config, Backend& backend, const LlamaOptions& options)
    : config_(config), backend_(backend), options_(options) {}

Result<std::unique_ptr<Llama>> Llama::Load(const Checkpoint& checkpoint, Backend& backend,
                                           const LlamaOptions& options,
                                           const LoadProgress& progress) {
  return Make(checkpoint.config(), backend, options,
              [&] { return LoadLlamaWeights(checkpoint, backend, progress); });
}

Result<std::unique_ptr<Llama>> Llama::Load(const ModelConfig& config, const WeightSource& weights,
                                           Backend& backend, const LlamaOptions& options) {
  return Make(config, backend, options, [&] { return LoadLlamaWeights(config, weights, backend); });
}

Result<std::unique_ptr<Llama>> Llama::Make(const ModelConfig& c, Backend& backend,
                                           const LlamaOptions& options, const LoadWeights& load) {
  LlamaOptions settled = options;
  if (settled.max_model_len == 0) settled.max_model_len = c.max_position_embeddings;
  if (settled.max_model_len < 1 || settled.max_model_len > c.max_position_embeddings)
    return Err(
        "max_model_len: expected 1 to {} (the checkpoint's max_position_embeddings), found {}",
        c.max_position_embeddings, settled.max_model_len);
  if (settled.kv_tokens == 0) settled.kv_tokens = settled.max_model_len;
  std::unique_ptr<Llama> model(new Llama(c, backend, settled));
  for (const OpKind op : kOps) TRY(CheckSupport(backend, op));
  if (c.has_head_norms()) TRY(CheckSupport(backend, OpKind::kHeadNorm));

  TRY_ASSIGN(model->weights_, load());
  if (model->weights_.rotated) TRY(CheckSupport(backend, OpKind::kHadamard));
  const int64_t q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  const KvShape shape{c.num_layers, c.num_kv_heads, c.head_dim};
  const int64_t pages = (settled.kv_tokens + kPageTokens - 1) / kPageTokens;
  TRY_ASSIGN(auto memory, backend.AllocateKv(shape, pages));
  model->kv_ = std::make_unique<KvCache>(backend, std::move(memory), settled.max_model_len);

  model->inverse_frequencies_ = InverseFrequencies(c);
  model->rope_amplitude_ = static_cast<float>(c.rope.attention_factor);
  const int64_t rows = settled.max_batch_tokens,
                logit_rows = std::min(rows, settled.max_logit_rows);
  const struct {
    Tensor* tensor;
    int64_t rows, cols;
  } activations[] = {{&model->x_, rows, c.hidden_size},
                     {&model->normed_, rows, c.hidden_size},
                     {&model->qkv_, rows, q + 2 * kv},
                     {&model->attention_, rows, q},
                     {&model->gate_up_, rows, 2 * c.intermediate_size},
                     {&model->activated_, rows, c.intermediate_size},
                     {&model->delta_, rows, c.hidden_size},
                     {&model->logit_x_, logit_rows, c.hidden_size},
                     {&model->logits_, logit_rows, c.vocab_size}};
  for (const auto& [tensor, n, cols] : activations) {
    TRY_ASSIGN(*tensor, backend.Allocate(n, cols));
  }
  if (!settled.eager) model->CapturePlans(shape);
  return model;
}

// Captures one plan for each number of rows that the back end asks for.
void Llama::CapturePlans(const KvShape& shape) {
  const Stopwatch watch;
  for (const int64_t rows : backend_.PlanRows(options_.max_batch_tokens)) {
    const int64_t logit_rows = std::min(rows, options_.max_logit_rows);
    auto plan = backend_.Capture({rows, logit_rows, options_.max_model_len}, shape,
                                 [&] { RunLayers(rows, logit_rows); });
    if (plan == nullptr) break;
    plans_.push_back({rows, std::move(plan)});
  }
  capture_seconds_ = watch.Seconds();
}

// Returns the first plan that has room for a step of `rows` rows; nullptr if the step must run op
// by op.
Plan* Llama::PlanFor(int64_t rows) const {
  if (options_.eager || observer_) return nullptr;
  const auto found = std::ranges::find_if(plans_, [rows](const auto& p) { return p.rows >= rows; });
  return found == plans_.end() ? nullptr : found->plan.get();
}

void Llama::Rotate(const Tensor& x, const Tensor& signs, bool inverse) {
  if (weights_.rotated) backend_.Hadamard(x, HadamardBlock(x.cols), signs, inverse);
}

// The forward pass. Prefill, decode and mixtures of both run this one function, on the step that
// the back end got.
void Llama::RunLayers(int64_t n_tokens, int64_t n_logits) {
  const ModelConfig& c = config_;
  const auto eps = static_cast<float>(c.rms_norm_eps);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim)));
  const int64_t q_width = c.num_heads * c.head_dim, kv_width = c.num_kv_heads * c.head_dim;

  const Tensor x = x_.Rows(0, n_tokens);            // (n_tokens, hidden): the residual stream
  const Tensor normed = normed_.Rows(0, n_tokens);  // (n_tokens, hidden)
  const Tensor qkv = qkv_.Rows(0, n_tokens);        // (n_tokens, q_width + 2 · kv_width)
  const Tensor q = qkv.Cols(0, q_width);            // (n_tokens, q_width)
  const Tensor k = qkv.Cols(q_width, kv_width);     // (n_tokens, kv_width)
  const Tensor v = qkv.Cols(q_width + kv_width, kv_width);
  const Tensor attended = attention_.Rows(0, n_tokens);   // (n_tokens, q_width)
  const Tensor gate_up = gate_up_.Rows(0, n_tokens);      // (n_tokens, 2 · intermediate)
  const Tensor activated = activated_.Rows(0, n_tokens);  // (n_tokens, intermediate)
  const Tensor delta = delta_.Rows(0, n_tokens);          // (n_tokens, hidden)

  backend_.Embed(*weights_.embed, x);
  Observe("embed_tokens", -1, x);
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const LlamaWeights::Layer& layer = weights_.layers[static_cast<size_t>(i)];
    backend_.RmsNorm(x, layer.input_norm, eps, normed);
    Observe("input_layernorm", i, normed);
    backend_.MatMul(normed, *layer.qkv, qkv);
    Observe("self_attn.q_proj", i, q);
    Observe("self_attn.k_proj", i, k);
    Observe("self_attn.v_proj", i, v);
    if (c.has_head_norms()) {
      backend_.HeadNorm(q, layer.q_norm, eps);
      Observe("self_attn.q_norm", i, q);
      backend_.HeadNorm(k, layer.k_norm, eps);
      Observe("self_attn.k_norm", i, k);
    }
    backend_.Rope(qkv.Cols(0, q_width + kv_width), c.head_dim);
    Observe("self_attn.q_rotated", i, q);
    Observe("self_attn.k_rotated", i, k);
    backend_.StoreKv(i, k, v);
    backend_.Attention(i, q, scale, attended);
    Observe("self_attn.attended", i, attended);
    Rotate(attended);
    backend_.MatMul(attended, *layer.o, delta);
    Observe("self_attn.o_proj", i, delta);
    backend_.Add(x, delta);
    backend_.RmsNorm(x, layer.post_attention_norm, eps, normed);
    Observe("post_attention_layernorm", i, normed);
    backend_.MatMul(normed, *layer.gate_up, gate_up);
    Observe("mlp.gate_proj", i, gate_up.Cols(0, c.intermediate_size));
    Observe("mlp.up_proj", i, gate_up.Cols(c.intermediate_size, c.intermediate_size));
    backend_.SwiGlu(gate_up, activated);
    Observe("mlp.act_fn", i, activated);
    Rotate(activated);
    backend_.MatMul(activated, *layer.down, delta);
    Observe("mlp.down_proj", i, delta);
    backend_.Add(x, delta);
    Observe("", i, x);
  }
  if (n_logits == 0) return;
  const Tensor last = logit_x_.Rows(0, n_logits), last_normed = normed_.Rows(0, n_logits);
  backend_.GatherRows(x, last);
  Rotate(last, weights_.signs, true);
  backend_.RmsNorm(last, weights_.final_norm, eps, last_normed);
  Observe("norm", -1, last_normed);
  Rotate(last_normed, weights_.signs);
  backend_.MatMul(last_normed, *weights_.head, logits_.Rows(0, n_logits));
  Observe("lm_head", -1, logits_.Rows(0, n_logits));
}

void Llama::Observe(std::string_view name, int64_t layer, const Tensor& value) const {
  if (!observer_) return;
  if (layer < 0) return observer_(name, value);
  observer_(fmt::format("layers.{}{}{}", layer, name.empty() ? "" : ".", name), value);
}

Status Llama::Forward(std::span<const SequenceStep> steps, std::vector<float>* logits) {
  int64_t n_tokens = 0, n_logits = 0;
  for (const SequenceStep& step : steps) {
    const int64_t n = std::ssize(step.tokens), length = step.sequence->length() + n;
    CHECK(n > 0 && step.n_logits >= 0 && step.n_logits <= n);
    if (length > options_.max_model_len)
      return Err("the sequence would have {} tokens, expected at most {} (max_model_len)", length,
                 options_.max_model_len);
    for (const int32_t token : step.tokens)
      if (token < 0 || token >= config_.vocab_size)
        return Err("token {}: expected an id from 0 to {}", token, config_.vocab_size - 1);
    n_tokens += n;
    n_logits += step.n_logits;
  }
  CHECK(n_tokens > 0 && n_tokens <= options_.max_batch_tokens, "{} tokens", n_tokens);
  CHECK(n_logits <= logits_.rows, "{} rows of logits", n_logits);
  for (size_t i = 0; i < steps.size(); ++i) {
    Sequence* sequence = steps[i].sequence;
    if (Status reserved = kv_->Reserve(sequence, sequence->length() + std::ssize(steps[i].tokens));
        !reserved) {
      for (size_t j = 0; j < i; ++j) steps[j].sequence->Truncate(steps[j].sequence->length());
      return reserved;
    }
  }

  const auto half = static_cast<size_t>(config_.head_dim / 2);
  tokens_.clear();
  logit_rows_.clear();
  sequences_.clear();
  rope_cos_.resize(static_cast<size_t>(n_tokens) * half);
  rope_sin_.resize(static_cast<size_t>(n_tokens) * half);
  for (const SequenceStep& step : steps) {
    const int64_t first = std::ssize(tokens_), n = std::ssize(step.tokens);
    const int64_t context = step.sequence->length();
    sequences_.push_back({first, n, context, step.sequence->pages_});
    for (int64_t i = 0; i < n; ++i) {
      const size_t at = static_cast<size_t>(first + i) * half;
      RopeAngles(inverse_frequencies_, context + i, rope_amplitude_, &rope_cos_[at],
                 &rope_sin_[at]);
      tokens_.push_back(step.tokens[static_cast<size_t>(i)]);
      if (i >= n - step.n_logits) logit_rows_.push_back(static_cast<int32_t>(first + i));
    }
  }

  backend_.BeginStep({tokens_, rope_cos_, rope_sin_, sequences_, logit_rows_, &kv_->memory()});
  if (Plan* plan = PlanFor(n_tokens)) {
    backend_.Replay(*plan);
  } else {
    RunLayers(n_tokens, n_logits);
  }
  backend_.EndStep();
  logits->resize(static_cast<size_t>(n_logits * config_.vocab_size));
  if (n_logits > 0) backend_.StartCopyOut(logits_.Rows(0, n_logits), *logits);
  for (const SequenceStep& step : steps) step.sequence->length_ += std::ssize(step.tokens);
  backend_.FinishCopies();
  return {};
}

Status Llama::Extend(Sequence* sequence, std::span<const int32_t> tokens, int64_t n_logits,
                     const std::function<void(int64_t, std::span<const float>)>& row) {
  std::vector<float> logits;
  const int64_t n = std::ssize(tokens),
                silent = n - n_logits;  // tokens before the first token with logits
  for (int64_t done = 0; done < n;) {
    int64_t chunk = std::min(options_.max_batch_tokens, n - done);
    if (done + chunk > silent + logits_.rows)  // more logits than one pass gives
      chunk = std::max(silent - done, std::min(logits_.rows, n - done));
    const int64_t wanted = std::clamp(done + chunk - silent, int64_t{0}, chunk);
    const int64_t position = sequence->length() + chunk - wanted;
    const SequenceStep step{
        sequence, tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(chunk)), wanted};
    TRY(Forward(std::span(&step, 1), &logits));
    const auto vocab = static_cast<size_t>(config_.vocab_size);
    for (int64_t i = 0; i < wanted; ++i)
      row(position + i,
          std::span<const float>(logits).subspan(static_cast<size_t>(i) * vocab, vocab));
    done += chunk;
  }
  return {};
}

}  // namespace merope

#include "model/llama_weights.h"

#include <array>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "backend/weights.h"
#include "checkpoint/weight_check.h"
#include "model/rotation.h"

namespace merope {
namespace {

// Loads weights by their Hugging Face names and counts their resident bytes.
class Loader {
 public:
  Loader(const WeightSource& source, WeightTarget& target) : source_(source), target_(target) {}

  struct Part {
    std::string name;  // without ".weight"
    int64_t out_features;
    bool bias;
  };

  Result<const Matrix*> Load(std::initializer_list<Part> wanted, int64_t in_features,
                             Stacking stacking = Stacking::kStacked) {
    std::vector<std::unique_ptr<const WeightTensor>> open;
    std::vector<MatrixPart> parts;
    for (const Part& part : wanted) {
      MatrixPart& opened = parts.emplace_back();
      TRY_ASSIGN(open.emplace_back(),
                 source_.Open(part.name + ".weight", std::array{part.out_features, in_features}));
      opened.weight = open.back().get();
      if (!part.bias) continue;
      TRY_ASSIGN(open.emplace_back(),
                 source_.Open(part.name + ".bias", std::array{part.out_features}));
      opened.bias = open.back().get();
    }
    TRY_ASSIGN(const Matrix* matrix,
               target_.LoadMatrix(parts, stacking,
                                  [this](const WeightTensor& t) { source_.Release(t.name); }));
    resident_ += matrix->bytes;
    return matrix;
  }

  Result<Tensor> Vector(const std::string& name, int64_t n) {
    TRY_ASSIGN(const auto vector, source_.Open(name, std::array{n}));
    TRY_ASSIGN(const Tensor tensor, target_.LoadVector(*vector));
    resident_ += n * static_cast<int64_t>(sizeof(float));
    source_.Release(name);
    return tensor;
  }

  Result<Tensor> Signs(int64_t n) {
    TRY_ASSIGN(const auto signs, source_.Open(kSignsTensor, std::array{n}));
    TRY_ASSIGN(const std::vector<float> values, DecodeVector(*signs));
    for (const float sign : values)
      if (std::fabs(sign) != 1)
        return Err("tensor \"{}\": expected 1 or -1, found {}", kSignsTensor, sign);
    return Vector(kSignsTensor, n);
  }

  int64_t resident() const { return resident_; }

 private:
  const WeightSource& source_;
  WeightTarget& target_;
  int64_t resident_ = 0;
};

}  // namespace

Result<LlamaWeights> LoadLlamaWeights(const ModelConfig& c, const WeightSource& source,
                                      WeightTarget& target) {
  Loader loader(source, target);
  LlamaWeights weights;
  const int64_t q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  TRY_ASSIGN(weights.embed,
             loader.Load({{"model.embed_tokens", c.vocab_size, false}}, c.hidden_size));
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    LlamaWeights::Layer layer;
    TRY_ASSIGN(layer.input_norm, loader.Vector(prefix + "input_layernorm.weight", c.hidden_size));
    TRY_ASSIGN(layer.qkv, loader.Load({{attention + "q_proj", q, c.attention_bias},
                                       {attention + "k_proj", kv, c.attention_bias},
                                       {attention + "v_proj", kv, c.attention_bias}},
                                      c.hidden_size));
    if (c.has_head_norms()) {
      TRY_ASSIGN(layer.q_norm, loader.Vector(attention + "q_norm.weight", c.head_dim));
      TRY_ASSIGN(layer.k_norm, loader.Vector(attention + "k_norm.weight", c.head_dim));
    }
    TRY_ASSIGN(layer.o,
               loader.Load({{attention + "o_proj", c.hidden_size, c.has_output_bias()}}, q));
    TRY_ASSIGN(layer.post_attention_norm,
               loader.Vector(prefix + "post_attention_layernorm.weight", c.hidden_size));
    TRY_ASSIGN(layer.gate_up, loader.Load({{mlp + "gate_proj", c.intermediate_size, c.mlp_bias},
                                           {mlp + "up_proj", c.intermediate_size, c.mlp_bias}},
                                          c.hidden_size, Stacking::kPaired));
    TRY_ASSIGN(layer.down,
               loader.Load({{mlp + "down_proj", c.hidden_size, c.mlp_bias}}, c.intermediate_size));
    weights.layers.push_back(layer);
  }
  TRY_ASSIGN(weights.final_norm, loader.Vector("model.norm.weight", c.hidden_size));
  weights.head = weights.embed;
  if (!c.tie_word_embeddings) {
    TRY_ASSIGN(weights.head, loader.Load({{"lm_head", c.vocab_size, false}}, c.hidden_size));
  }
  weights.rotated = source.rotated();
  if (weights.rotated) {
    TRY_ASSIGN(weights.signs, loader.Signs(c.hidden_size));
  }
  weights.bytes = loader.resident();
  return weights;
}

Result<LlamaWeights> LoadLlamaWeights(const Checkpoint& checkpoint, WeightTarget& target,
                                      const LoadProgress& progress) {
  const ModelConfig& config = checkpoint.config();
  int64_t total = 0, done = 0;
  for (const TensorView& tensor : checkpoint.tensors()) total += std::ssize(tensor.bytes);
  const CheckpointWeights plain(checkpoint, [&](int64_t bytes) {
    done += bytes;
    if (progress) progress(done, total);
  });
  if (IsOwnInteger(config.dtype) || target.precision() != Precision::kInt8)
    return LoadLlamaWeights(config, plain, target);
  return LoadLlamaWeights(config, RotatedWeights(plain, config.hidden_size), target);
}

}  // namespace merope

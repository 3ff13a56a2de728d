#include "model/llama_weights.h"

#include <array>
#include <cmath>
#include <optional>
#include <string>

#include "backend/integer.h"
#include "backend/weights.h"
#include "checkpoint/weight_check.h"
#include "model/rotation.h"

namespace merope {
namespace {

// Loads weights by their HF names, counting bytes and letting go of the mapped pages behind it.
// Those that become int8 it turns on the way (rotation.h); in a file of int8 they are turned.
class Loader {
 public:
  Loader(const Checkpoint& checkpoint, WeightTarget& target, const LoadProgress& progress)
      : checkpoint_(checkpoint), target_(target), progress_(progress) {
    for (const TensorView& tensor : checkpoint.tensors()) total_ += std::ssize(tensor.bytes);
    const bool own = IsOwnInteger(checkpoint.config().dtype);
    if (!own && target.precision() == Precision::kInt8)
      rotation_.emplace(checkpoint.config().hidden_size);
  }

  struct Part {
    std::string name;  // without ".weight"
    int64_t out_features;
    bool bias;
  };

  // The embedding, and the head.
  Result<const Matrix*> Table(const std::string& name, int64_t vocab_size, int64_t hidden) {
    TRY_ASSIGN(std::vector<MatrixPart> parts, Parts({{name, vocab_size, false}}, hidden));
    if (rotation_) parts[0].turn = [this](std::span<float> row) { rotation_->Turn(row); };
    return Load(parts, Stacking::kStacked);
  }

  // Matrices that read the residual stream through a norm.
  Result<const Matrix*> FromResidual(std::initializer_list<Part> wanted, int64_t hidden,
                                     const std::string& norm, Stacking stacking) {
    TRY_ASSIGN(std::vector<MatrixPart> parts, Parts(wanted, hidden));
    std::vector<float> gain;
    if (rotation_) {
      TRY_ASSIGN(const TensorView* view, checkpoint_.Require(norm, std::array{hidden}));
      TRY_ASSIGN(gain, DecodeVector(*view));
      for (MatrixPart& part : parts)
        part.turn = [&](std::span<float> row) {
          for (size_t i = 0; i < row.size(); ++i) row[i] *= gain[i];
          rotation_->Turn(row);
        };
    }
    return Load(parts, stacking);
  }

  // A matrix whose output is added to the residual stream.
  Result<const Matrix*> ToResidual(const Part& wanted, int64_t in_features) {
    TRY_ASSIGN(std::vector<MatrixPart> parts, Parts({wanted}, in_features));
    if (!rotation_) return Load(parts, Stacking::kStacked);
    TRY_ASSIGN(const OwnedTensor weight, TurnIntoResidual(*parts[0].weight, *rotation_));
    std::optional<OwnedTensor> bias;
    if (wanted.bias) {
      TRY_ASSIGN(bias, TurnBias(*parts[0].bias, *rotation_));
    }
    const std::array turned = {MatrixPart{&weight.view, bias ? &bias->view : nullptr}};
    TRY_ASSIGN(const Matrix* matrix, target_.LoadMatrix(turned, Stacking::kStacked, {}));
    Consumed(*parts[0].weight);
    resident_ += matrix->bytes;
    return matrix;
  }

  // A norm whose gain the matrices behind it take over where they are turned.
  Result<Tensor> FoldedNorm(const std::string& name, int64_t n) {
    if (!rotation_) return Vector(name, n);
    return target_.LoadVector(
        OwnedTensor(name, {n}, std::vector<float>(static_cast<size_t>(n), 1)).view);
  }

  Result<Tensor> Signs(int64_t n) {
    if (rotation_) return target_.LoadVector(OwnedTensor(kSignsTensor, {n}, rotation_->signs).view);
    TRY_ASSIGN(const TensorView* view, checkpoint_.Require(kSignsTensor, std::array{n}));
    TRY_ASSIGN(const std::vector<float> signs, DecodeVector(*view));
    for (const float sign : signs)
      if (std::fabs(sign) != 1)
        return Err("{}: tensor \"{}\": expected 1 or -1, found {}", checkpoint_.path(),
                   kSignsTensor, sign);
    return Vector(kSignsTensor, n);
  }

  bool turned() const {
    return rotation_.has_value() || checkpoint_.config().dtype == DType::kInt8;
  }

  Result<Tensor> Vector(const std::string& name, int64_t n) {
    TRY_ASSIGN(const TensorView* view, checkpoint_.Require(name, std::array{n}));
    TRY_ASSIGN(const Tensor tensor, target_.LoadVector(*view));
    resident_ += n * static_cast<int64_t>(sizeof(float));
    Consumed(*view);
    return tensor;
  }

  int64_t resident() const { return resident_; }

 private:
  Result<std::vector<MatrixPart>> Parts(std::initializer_list<Part> wanted, int64_t in_features) {
    std::vector<MatrixPart> parts;
    for (const Part& part : wanted) {
      MatrixPart view{nullptr, nullptr};
      TRY_ASSIGN(view.weight, checkpoint_.Require(part.name + ".weight",
                                                  std::array{part.out_features, in_features}));
      if (part.bias) {
        TRY_ASSIGN(view.bias,
                   checkpoint_.Require(part.name + ".bias", std::array{part.out_features}));
      }
      parts.push_back(std::move(view));
    }
    return parts;
  }

  Result<const Matrix*> Load(std::span<const MatrixPart> parts, Stacking stacking) {
    TRY_ASSIGN(const Matrix* matrix,
               target_.LoadMatrix(parts, stacking,
                                  [this](const TensorView& tensor) { Consumed(tensor); }));
    resident_ += matrix->bytes;
    return matrix;
  }

  void Consumed(const TensorView& tensor) {
    checkpoint_.Drop(tensor);
    done_ += std::ssize(tensor.bytes);
    if (progress_) progress_(done_, total_);
  }

  const Checkpoint& checkpoint_;
  WeightTarget& target_;
  const LoadProgress& progress_;
  std::optional<Rotation> rotation_;
  int64_t total_ = 0, done_ = 0, resident_ = 0;
};

}  // namespace

Result<LlamaWeights> LoadLlamaWeights(const Checkpoint& checkpoint, WeightTarget& target,
                                      const LoadProgress& progress) {
  Loader loader(checkpoint, target, progress);
  LlamaWeights weights;
  const ModelConfig& c = checkpoint.config();
  const int64_t q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  TRY_ASSIGN(weights.embed, loader.Table("model.embed_tokens", c.vocab_size, c.hidden_size));
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    const std::string input_norm = prefix + "input_layernorm.weight";
    const std::string mlp_norm = prefix + "post_attention_layernorm.weight";
    LlamaWeights::Layer layer;
    TRY_ASSIGN(layer.input_norm, loader.FoldedNorm(input_norm, c.hidden_size));
    TRY_ASSIGN(layer.qkv, loader.FromResidual({{attention + "q_proj", q, c.attention_bias},
                                               {attention + "k_proj", kv, c.attention_bias},
                                               {attention + "v_proj", kv, c.attention_bias}},
                                              c.hidden_size, input_norm, Stacking::kStacked));
    TRY_ASSIGN(layer.o,
               loader.ToResidual({attention + "o_proj", c.hidden_size, c.attention_bias}, q));
    TRY_ASSIGN(layer.post_attention_norm, loader.FoldedNorm(mlp_norm, c.hidden_size));
    TRY_ASSIGN(layer.gate_up,
               loader.FromResidual({{mlp + "gate_proj", c.intermediate_size, c.mlp_bias},
                                    {mlp + "up_proj", c.intermediate_size, c.mlp_bias}},
                                   c.hidden_size, mlp_norm, Stacking::kPaired));
    TRY_ASSIGN(layer.down, loader.ToResidual({mlp + "down_proj", c.hidden_size, c.mlp_bias},
                                             c.intermediate_size));
    weights.layers.push_back(layer);
  }
  TRY_ASSIGN(weights.final_norm, loader.Vector("model.norm.weight", c.hidden_size));
  weights.head = weights.embed;
  if (!c.tie_word_embeddings) {
    TRY_ASSIGN(weights.head, loader.Table("lm_head", c.vocab_size, c.hidden_size));
  }
  weights.turned = loader.turned();
  if (weights.turned) {
    TRY_ASSIGN(weights.signs, loader.Signs(c.hidden_size));
  }
  weights.bytes = loader.resident();
  return weights;
}

}  // namespace merope

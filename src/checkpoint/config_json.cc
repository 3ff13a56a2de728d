#include "checkpoint/config_json.h"

namespace merope {
namespace {

constexpr const char* kTransformersVersion = "4.51.0";  // whose form of config.json this is

const char* TorchName(DType dtype) {
  return dtype == DType::kF32 ? "float32" : dtype == DType::kF16 ? "float16" : "bfloat16";
}

Json RopeScalingJson(const RopeScaling& rope) {
  switch (rope.kind) {
    case RopeKind::kNone:
      return nullptr;
    case RopeKind::kLinear:
      return {{"rope_type", "linear"}, {"factor", rope.factor}};
    case RopeKind::kLlama3:
      return {{"rope_type", "llama3"},
              {"factor", rope.factor},
              {"low_freq_factor", rope.low_freq_factor},
              {"high_freq_factor", rope.high_freq_factor},
              {"original_max_position_embeddings", rope.original_max_position_embeddings}};
    case RopeKind::kYarn:
      return {{"rope_type", "yarn"},
              {"factor", rope.factor},
              {"original_max_position_embeddings", rope.original_max_position_embeddings},
              {"attention_factor", rope.attention_factor},
              {"beta_fast", rope.beta_fast},
              {"beta_slow", rope.beta_slow},
              {"truncate", rope.truncate}};
  }
  CHECK(false);
  return nullptr;
}

Json EosJson(const ModelConfig& config) {
  const auto& ids = config.eos_token_ids;
  return ids.empty() ? Json() : ids.size() == 1 ? Json(ids.front()) : Json(ids);
}

}  // namespace

Json ConfigJson(const ModelConfig& config, DType dtype) {
  return {{"architectures", {config.architecture}},
          {"attention_bias", config.attention_bias},
          {"attention_dropout", 0.0},
          {"bos_token_id", config.bos_token_id ? Json(*config.bos_token_id) : Json()},
          {"eos_token_id", EosJson(config)},
          {"head_dim", config.head_dim},
          {"hidden_act", "silu"},
          {"hidden_size", config.hidden_size},
          {"initializer_range", 0.02},
          {"intermediate_size", config.intermediate_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"mlp_bias", config.mlp_bias},
          {"model_type", "llama"},
          {"num_attention_heads", config.num_heads},
          {"num_hidden_layers", config.num_layers},
          {"num_key_value_heads", config.num_kv_heads},
          {"pretraining_tp", 1},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_scaling", RopeScalingJson(config.rope)},
          {"rope_theta", config.rope_theta},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"torch_dtype", TorchName(dtype)},
          {"transformers_version", kTransformersVersion},
          {"use_cache", true},
          {"vocab_size", config.vocab_size}};
}

Json GenerationJson(const ModelConfig& config) {
  return {{"_from_model_config", true},
          {"bos_token_id", config.bos_token_id ? Json(*config.bos_token_id) : Json()},
          {"eos_token_id", EosJson(config)},
          {"transformers_version", kTransformersVersion}};
}

}  // namespace merope

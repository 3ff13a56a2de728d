#include "checkpoint/config_json.h"

namespace merope {
namespace {

// The version of transformers whose form of config.json these functions write.
constexpr const char* kTransformersVersion = "4.51.0";

const char* TorchName(DType dtype) {
  return dtype == DType::kF32 ? "float32" : dtype == DType::kF16 ? "float16" : "bfloat16";
}

OrderedJson RopeScalingJson(const RopeScaling& rope) {
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

OrderedJson EosJson(const ModelConfig& config) {
  const auto& ids = config.eos_token_ids;
  return ids.empty()       ? OrderedJson()
         : ids.size() == 1 ? OrderedJson(ids.front())
                           : OrderedJson(ids);
}

OrderedJson BosJson(const ModelConfig& config) {
  return config.bos_token_id ? OrderedJson(*config.bos_token_id) : OrderedJson();
}

}  // namespace

OrderedJson ConfigJson(const ModelConfig& config) {
  return {{"architectures", {ArchitectureName(config.architecture)}},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.num_layers},
          {"num_attention_heads", config.num_heads},
          {"num_key_value_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_theta", config.rope_theta},
          {"rope_scaling", RopeScalingJson(config.rope)},
          {"tie_word_embeddings", config.tie_word_embeddings},
          {"attention_bias", config.attention_bias},
          {"mlp_bias", config.mlp_bias},
          {"bos_token_id", BosJson(config)},
          {"eos_token_id", EosJson(config)}};
}

Json ConfigFile(const ModelConfig& config, DType dtype) {
  Json file = ConfigJson(config);
  const bool llama = config.architecture == Architecture::kLlama;
  // Fields that the architecture's config.json does not have.
  if (!llama) file.erase("mlp_bias");
  if (config.architecture == Architecture::kQwen2) file.erase("attention_bias");
  file.update({{"attention_dropout", 0.0},
               {"hidden_act", "silu"},
               {"initializer_range", 0.02},
               {"model_type", ModelType(config.architecture)},
               {"torch_dtype", TorchName(dtype)},
               {"transformers_version", kTransformersVersion},
               {"use_cache", true}});
  if (llama) {
    file["pretraining_tp"] = 1;
  } else {
    file.update({{"max_window_layers", config.num_layers},
                 {"sliding_window", nullptr},
                 {"use_sliding_window", false}});
  }
  return file;
}

Json GenerationConfigFile(const ModelConfig& config) {
  return {{"_from_model_config", true},
          {"bos_token_id", BosJson(config)},
          {"eos_token_id", EosJson(config)},
          {"transformers_version", kTransformersVersion}};
}

}  // namespace merope

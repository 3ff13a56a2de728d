// The hyperparameters of a checkpoint, as typed values. A ModelConfig has the same form for every
// architecture and every kind of file. The checkpoint readers fill in the ModelConfig on the
// loading thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "checkpoint/architecture.h"

namespace merope {

enum class RopeKind : uint8_t { kNone, kLinear, kLlama3, kYarn };

// Field names and defaults are those of modeling_rope_utils in HF transformers.
struct RopeScaling {
  RopeKind kind = RopeKind::kNone;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  int64_t original_max_position_embeddings = 0;      // llama3, yarn
  double beta_fast = 32, beta_slow = 1;              // yarn
  // yarn: the factor of cos and sin. If config.json gives no attention_factor, the value is
  // YarnAttentionFactor. In a GGUF file, attn_factor multiplies this value.
  double attention_factor = 1;
  bool truncate = true;  // yarn: round the correction range to whole dimensions
};

// Sampling defaults from generation_config.json.
struct GenerationDefaults {
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<int64_t> top_k, max_new_tokens;
  std::optional<bool> do_sample;
};

struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  int64_t hidden_size = 0, intermediate_size = 0, num_layers = 0;
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int64_t vocab_size = 0, max_position_embeddings = 0;
  double rms_norm_eps = 0, rope_theta = 0;
  RopeScaling rope;
  std::vector<float> rope_divisors;  // (head_dim / 2), from a GGUF's rope_freqs tensor; empty: none
  bool tie_word_embeddings = false;
  // attention_bias: q, k and v have biases, and o_proj has one if has_output_bias. A Qwen2 always
  // has attention_bias, which its config.json does not say.
  bool attention_bias = false, mlp_bias = false;
  // The dtype that config.json names (F32 if none), or the dtype with the largest number of
  // elements in a GGUF file.
  DType dtype = DType::kF32;
  // Set if `merope quantize` wrote the checkpoint. quantized_from: the dtype of the weights that
  // `merope quantize` read. quantized_by: the version of merope.
  std::optional<std::string> quantized_from, quantized_by;
  std::vector<int32_t> eos_token_ids;  // generation stops at any of these
  std::string eos_source;              // the file and field of these ids
  std::optional<int32_t> bos_token_id;
  GenerationDefaults generation;

  bool has_output_bias() const { return attention_bias && architecture != Architecture::kQwen2; }
  // Whether q_norm and k_norm normalize the heads of q and k.
  bool has_head_norms() const { return architecture == Architecture::kQwen3; }

  // Bytes of KV cache per token, for this many bytes per element.
  int64_t KvBytesPerToken(int64_t element_bytes) const {
    return 2 * num_layers * num_kv_heads * head_dim * element_bytes;
  }
};

// Upper limits of the sizes in a file. These limits keep every product of sizes far from overflow.
inline constexpr int64_t kMaxDimension = 1 << 20, kMaxVocabulary = 1 << 22, kMaxLayers = 4096,
                         kMaxHeads = 1 << 14, kMaxPositions = 1 << 26;

// Parses config.json as transformers 4 and 5 write it. file: name of the source in errors. An error
// names an architecture, activation, RoPE kind or attention window that is not supported, or a
// value that is out of range.
Result<ModelConfig> ParseConfig(std::string_view config_json, const std::string& file);
// Adds generation_config.json: EOS ids, which replace the config's ids, and sampling defaults.
Status ApplyGenerationConfig(std::string_view json, const std::string& file, ModelConfig* config);

// Checks that hold for both kinds of files: num_kv_heads divides num_heads, head_dim is even, and
// num_heads · head_dim is at most kMaxDimension. The errors name these fields of the file.
struct HeadFields {
  std::string heads, kv_heads, head_dim;
};
Status CheckHeads(const ModelConfig& config, const std::string& file, const HeadFields& fields);

// The attention factor that transformers computes if a yarn scaling gives no attention_factor. An
// mscale of 0 means that the file gives no mscale.
double YarnAttentionFactor(double factor, double mscale, double mscale_all_dim);

}  // namespace merope

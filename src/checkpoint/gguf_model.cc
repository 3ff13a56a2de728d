#include "checkpoint/gguf_model.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

namespace merope {
namespace {

constexpr const char* kRopeFreqs = "rope_freqs.weight";
constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max();

const GgufTensor* FindTensor(const GgufFile& gguf, std::string_view name) {
  for (const GgufTensor& tensor : gguf.tensors())
    if (tensor.name == name) return &tensor;
  return nullptr;
}

// The keys of a file's architecture: "attention.head_count" is "llama.attention.head_count".
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufFile& gguf, Architecture architecture)
      : gguf_(gguf), prefix_(fmt::format("{}.", ModelType(architecture))) {}

  const GgufFile& gguf() const { return gguf_; }
  std::string Name(std::string_view key) const { return prefix_ + std::string(key); }
  Result<std::optional<int64_t>> Integer(std::string_view key, int64_t min, int64_t max) const {
    return gguf_.Integer(Name(key), min, max);
  }
  Result<std::optional<double>> Number(std::string_view key, double min, double max) const {
    return gguf_.Number(Name(key), min, max);
  }
  Result<int64_t> NeedInteger(std::string_view key, int64_t max) const {
    TRY_ASSIGN(const auto value, Integer(key, 1, max));
    if (!value) return Fault(key, "expected a whole number, found nothing");
    return *value;
  }
  template <class... Args>
  std::unexpected<Error> Fault(std::string_view key, fmt::format_string<Args...> format,
                               Args&&... args) const {
    return Err("{}: {}: {}", gguf_.file(), Name(key),
               fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  const GgufFile& gguf_;
  std::string prefix_;
};

Result<Architecture> ReadArchitecture(const GgufFile& gguf) {
  TRY_ASSIGN(const auto name, gguf.String("general.architecture"));
  const auto architecture = ArchitectureOfType(name.value_or(""));
  if (!architecture)
    return Err("{}: general.architecture: expected {}, found {}", gguf.file(), ModelTypes(),
               name ? '"' + *name + '"' : "nothing");
  return *architecture;
}

Status RefuseOthers(const ArchitectureKeys& keys) {
  const GgufFile& gguf = keys.gguf();
  TRY_ASSIGN(const auto parts, gguf.Integer("split.count", 0, kMaxId));
  if (parts.value_or(1) > 1)
    return Err(
        "{}: split.count: a model split into {} files is not supported: join them with "
        "llama-gguf-split --merge",
        gguf.file(), *parts);
  TRY_ASSIGN(const auto experts, keys.Integer("expert_count", 0, kMaxId));
  if (experts.value_or(0) > 0)
    return keys.Fault("expert_count", "expected a model without experts, found {}", *experts);
  return {};
}

// Every layer attends to all earlier positions. Refuses a Qwen's window that would leave some out.
Status RefuseGgufWindow(const ArchitectureKeys& keys, const ModelConfig& config) {
  if (config.architecture == Architecture::kLlama) return {};
  TRY_ASSIGN(const auto window, keys.Integer("attention.sliding_window", 0, kMaxId));
  if (window.value_or(0) > 0 && *window < config.max_position_embeddings)
    return keys.Fault("attention.sliding_window",
                      "a window is not supported: expected at least the context length ({}), "
                      "found {}",
                      config.max_position_embeddings, *window);
  return {};
}

Status ReadSizes(const ArchitectureKeys& keys, ModelConfig* config) {
  const GgufFile& gguf = keys.gguf();
  TRY_ASSIGN(config->hidden_size, keys.NeedInteger("embedding_length", kMaxDimension));
  TRY_ASSIGN(config->intermediate_size, keys.NeedInteger("feed_forward_length", kMaxDimension));
  TRY_ASSIGN(config->num_layers, keys.NeedInteger("block_count", kMaxLayers));
  TRY_ASSIGN(config->num_heads, keys.NeedInteger("attention.head_count", kMaxHeads));
  TRY_ASSIGN(config->max_position_embeddings, keys.NeedInteger("context_length", kMaxPositions));
  TRY_ASSIGN(const auto kv_heads, keys.Integer("attention.head_count_kv", 1, kMaxHeads));
  config->num_kv_heads = kv_heads.value_or(config->num_heads);

  TRY_ASSIGN(const auto head_dim, keys.Integer("attention.key_length", 1, kMaxDimension));
  if (!head_dim && config->hidden_size % config->num_heads != 0)
    return keys.Fault("embedding_length", "expected a multiple of {} ({}), found {}",
                      keys.Name("attention.head_count"), config->num_heads, config->hidden_size);
  config->head_dim = head_dim.value_or(config->hidden_size / config->num_heads);
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    TRY_ASSIGN(const auto size, keys.Integer(key, 1, kMaxDimension));
    if (size.value_or(config->head_dim) != config->head_dim)
      return keys.Fault(key, "expected the size of a head ({}), found {}", config->head_dim, *size);
  }

  TRY_ASSIGN(const auto vocab_size, keys.Integer("vocab_size", 1, kMaxVocabulary));
  if (vocab_size) {
    config->vocab_size = *vocab_size;
  } else if (const GgufTensor* embedding = FindTensor(gguf, "token_embd.weight");
             embedding != nullptr && embedding->shape.size() == 2 &&
             embedding->shape[0] <= kMaxVocabulary) {
    config->vocab_size = embedding->shape[0];
  } else {
    return keys.Fault("vocab_size", "expected a whole number, found nothing");
  }
  return CheckHeads(*config, gguf.file(),
                    {keys.Name("attention.head_count"), keys.Name("attention.head_count_kv"),
                     keys.Name("attention.key_length")});
}

// Reads the RoPE keys as llama.cpp applies them. Under yarn, attn_factor multiplies the amplitude
// that follows from the factor.
Status ReadRope(const ArchitectureKeys& keys, ModelConfig* config) {
  const GgufFile& gguf = keys.gguf();
  TRY_ASSIGN(const auto theta, keys.Number("rope.freq_base", 1e-3, 1e30));
  config->rope_theta = theta.value_or(10000);
  RopeScaling& rope = config->rope;
  TRY_ASSIGN(auto factor, keys.Number("rope.scaling.factor", 0, 1e6));
  if (!factor) {  // the older name of the key
    TRY_ASSIGN(factor, keys.Number("rope.scale_linear", 0, 1e6));
  }
  TRY_ASSIGN(const auto kind, gguf.String(keys.Name("rope.scaling.type")));
  const bool scaled = factor.value_or(0) != 0 && *factor != 1;
  if (kind && *kind != "none" && *kind != "linear" && *kind != "yarn")
    return keys.Fault("rope.scaling.type", "expected none, linear or yarn, found \"{}\"", *kind);
  if (kind == "yarn") {
    rope.kind = RopeKind::kYarn;
    if (!scaled) return keys.Fault("rope.scaling.factor", "expected a factor for yarn, found none");
    rope.factor = *factor;
    TRY_ASSIGN(const auto original,
               keys.Integer("rope.scaling.original_context_length", 1, kMaxPositions));
    rope.original_max_position_embeddings = original.value_or(config->max_position_embeddings);
    TRY_ASSIGN(const auto extra, keys.Number("rope.scaling.attn_factor", 0, 1e6));
    TRY_ASSIGN(const auto yarn_extra, keys.Number("rope.scaling.yarn_attn_factor", 0, 1e6));
    rope.attention_factor =
        YarnAttentionFactor(rope.factor, 0, 0) * yarn_extra.value_or(extra.value_or(1));
    TRY_ASSIGN(const auto fast, keys.Number("rope.scaling.yarn_beta_fast", 1e-3, 1e6));
    TRY_ASSIGN(const auto slow, keys.Number("rope.scaling.yarn_beta_slow", 1e-3, 1e6));
    rope.beta_fast = fast.value_or(32);
    rope.beta_slow = slow.value_or(1);
  } else if (kind != "none" && scaled) {
    rope.kind = RopeKind::kLinear;
    rope.factor = *factor;
  }

  const GgufTensor* divisors = FindTensor(gguf, kRopeFreqs);
  if (divisors == nullptr) return {};
  if (divisors->dtype != DType::kF32 || divisors->shape != std::vector{config->head_dim / 2})
    return Err("{}: tensor \"{}\": expected F32 of shape ({}), found {} of shape ({})", gguf.file(),
               kRopeFreqs, config->head_dim / 2, DTypeName(divisors->dtype),
               fmt::join(divisors->shape, ", "));
  config->rope_divisors.resize(static_cast<size_t>(config->head_dim / 2));
  Dequantize(DType::kF32, divisors->bytes.data(), config->head_dim / 2,
             config->rope_divisors.data());
  for (const float divisor : config->rope_divisors) {
    if (!(divisor > 0 && divisor <= 1e30f))
      return Err("{}: tensor \"{}\": expected positive numbers, found {:g}", gguf.file(),
                 kRopeFreqs, divisor);
  }
  return {};
}

// The dtype with the largest number of elements.
DType MostElements(const GgufFile& gguf) {
  std::map<DType, size_t> bytes;
  for (const GgufTensor& tensor : gguf.tensors()) {
    const auto elements = tensor.bytes.size() / static_cast<size_t>(BlockBytes(tensor.dtype)) *
                          static_cast<size_t>(BlockElements(tensor.dtype));
    bytes[tensor.dtype] += elements;
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? DType::kF32 : most->first;
}

Status ReadTokens(const GgufFile& gguf, ModelConfig* config) {
  TRY_ASSIGN(const auto bos, gguf.Integer("tokenizer.ggml.bos_token_id", 0, kMaxId));
  if (bos) config->bos_token_id = static_cast<int32_t>(*bos);
  std::string keys;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    TRY_ASSIGN(const auto id, gguf.Integer(key, 0, kMaxId));
    if (!id) continue;
    auto& ids = config->eos_token_ids;
    if (std::find(ids.begin(), ids.end(), *id) == ids.end())
      ids.push_back(static_cast<int32_t>(*id));
    keys += (keys.empty() ? "" : ", ") + std::string(key);
  }
  config->eos_source = std::filesystem::path(gguf.file()).filename().string() + ": " +
                       (keys.empty() ? "no tokenizer.ggml.eos_token_id" : keys);
  return {};
}

// "blk.3.attn_q.weight" → "model.layers.3.self_attn.q_proj.weight". Empty if no tensor of a
// supported architecture has this name.
std::string HfName(std::string_view name) {
  using Pair = std::pair<std::string_view, std::string_view>;
  static constexpr Pair kOutside[] = {{"token_embd.weight", "model.embed_tokens.weight"},
                                      {"output_norm.weight", "model.norm.weight"},
                                      {"output.weight", "lm_head.weight"}};
  static constexpr Pair kInside[] = {
      {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
      {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
      {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
      {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
      {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  for (const auto& [gguf, hf] : kOutside)
    if (name == gguf) return std::string(hf);
  if (!name.starts_with("blk.")) return {};
  name.remove_prefix(4);
  const size_t layer_end = name.find('.'), module_end = name.rfind('.');
  if (layer_end == name.npos || module_end <= layer_end) return {};
  const auto layer = name.substr(0, layer_end);
  const auto module = name.substr(layer_end + 1, module_end - layer_end - 1);
  const auto kind = name.substr(module_end + 1);
  const bool number =
      std::all_of(layer.begin(), layer.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number || (kind != "weight" && kind != "bias")) return {};
  for (const auto& [gguf, hf] : kInside)
    if (module == gguf) return fmt::format("model.layers.{}.{}.{}", layer, hf, kind);
  return {};
}

}  // namespace

Result<ModelConfig> GgufConfig(const GgufFile& gguf) {
  ModelConfig config;
  TRY_ASSIGN(config.architecture, ReadArchitecture(gguf));
  const ArchitectureKeys keys(gguf, config.architecture);
  TRY(RefuseOthers(keys));
  TRY(ReadSizes(keys, &config));
  TRY(RefuseGgufWindow(keys, config));
  TRY_ASSIGN(const auto eps, keys.Number("attention.layer_norm_rms_epsilon", 0, 1));
  if (!eps)
    return keys.Fault("attention.layer_norm_rms_epsilon", "expected a number, found nothing");
  config.rms_norm_eps = *eps;
  TRY(ReadRope(keys, &config));
  TRY(ReadTokens(gguf, &config));
  config.tie_word_embeddings = FindTensor(gguf, "output.weight") == nullptr;
  config.attention_bias = config.architecture == Architecture::kQwen2 ||
                          FindTensor(gguf, "blk.0.attn_q.bias") != nullptr;
  config.mlp_bias = config.architecture == Architecture::kLlama &&
                    FindTensor(gguf, "blk.0.ffn_up.bias") != nullptr;
  config.dtype = MostElements(gguf);
  return config;
}

std::vector<TensorView> GgufTensors(const GgufFile& gguf, const ModelConfig& config,
                                    std::vector<std::string>* ignored) {
  const bool interleaved = config.architecture == Architecture::kLlama;
  std::vector<TensorView> views;
  for (const GgufTensor& tensor : gguf.tensors()) {
    if (tensor.name == kRopeFreqs) {
      ignored->push_back(tensor.name + " (taken up as the divisors of the RoPE frequencies)");
      continue;
    }
    const std::string name = HfName(tensor.name);
    TensorView view{name.empty() ? tensor.name : name, tensor.dtype, tensor.shape, tensor.bytes};
    const int64_t heads = !interleaved                         ? 0
                          : name.find(".q_proj.") != name.npos ? config.num_heads
                          : name.find(".k_proj.") != name.npos ? config.num_kv_heads
                                                               : 0;
    // The rows of a tensor with another shape have no heads. The code that needs the tensor refuses
    // it.
    if (heads > 0 && !view.shape.empty() && view.shape[0] == heads * config.head_dim)
      view.permuted_heads = heads;
    views.push_back(std::move(view));
  }
  return views;
}

Result<GgufVocabulary> ReadGgufVocabulary(const GgufFile& gguf) {
  GgufVocabulary vocabulary;
  TRY_ASSIGN(auto model, gguf.String("tokenizer.ggml.model"));
  if (!model)
    return Err("{}: tokenizer.ggml.model: expected a tokenizer's kind, found nothing", gguf.file());
  vocabulary.model = std::move(*model);
  TRY_ASSIGN(auto pre, gguf.String("tokenizer.ggml.pre"));
  vocabulary.pre = std::move(pre).value_or("");
  TRY_ASSIGN(vocabulary.tokens, gguf.Strings("tokenizer.ggml.tokens"));
  TRY_ASSIGN(vocabulary.scores, gguf.Floats("tokenizer.ggml.scores"));
  TRY_ASSIGN(vocabulary.types, gguf.Integers("tokenizer.ggml.token_type"));
  TRY_ASSIGN(vocabulary.merges, gguf.Strings("tokenizer.ggml.merges"));
  const size_t n_tokens = vocabulary.tokens.size();
  if (n_tokens == 0 || n_tokens > static_cast<size_t>(kMaxVocabulary))
    return Err("{}: tokenizer.ggml.tokens: expected from 1 to {} tokens, found {}", gguf.file(),
               kMaxVocabulary, n_tokens);
  const auto parallel = [&](const char* key, size_t found) -> Status {
    if (found == 0 || found == n_tokens) return {};
    return Err("{}: {}: expected one for each of the {} tokens, found {}", gguf.file(), key,
               n_tokens, found);
  };
  TRY(parallel("tokenizer.ggml.scores", vocabulary.scores.size()));
  TRY(parallel("tokenizer.ggml.token_type", vocabulary.types.size()));

  const std::pair<const char*, std::optional<int32_t>*> ids[] = {
      {"tokenizer.ggml.bos_token_id", &vocabulary.bos},
      {"tokenizer.ggml.eos_token_id", &vocabulary.eos},
      {"tokenizer.ggml.unknown_token_id", &vocabulary.unknown},
      {"tokenizer.ggml.padding_token_id", &vocabulary.padding}};
  for (const auto& [key, id] : ids) {
    TRY_ASSIGN(const auto found, gguf.Integer(key, 0, static_cast<int64_t>(n_tokens) - 1));
    if (found) *id = static_cast<int32_t>(*found);
  }
  TRY_ASSIGN(vocabulary.add_bos, gguf.Bool("tokenizer.ggml.add_bos_token"));
  TRY_ASSIGN(vocabulary.add_eos, gguf.Bool("tokenizer.ggml.add_eos_token"));
  TRY_ASSIGN(vocabulary.add_space_prefix, gguf.Bool("tokenizer.ggml.add_space_prefix"));
  return vocabulary;
}

}  // namespace merope

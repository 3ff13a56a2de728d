#include "checkpoint/config.h"

#include <cmath>
#include <filesystem>
#include <limits>

#include "base/json.h"

namespace merope {
namespace {

constexpr double kUnlimited = 1e30;  // still finite in fp32

std::string BaseName(const std::string& file) {
  return std::filesystem::path(file).filename().string();
}

Result<int64_t> NeedInteger(const JsonFields& fields, const char* field, int64_t max) {
  TRY_ASSIGN(const auto value, fields.Integer(field, 1, max));
  if (!value) return Err("{}: {}: expected a whole number, found nothing", fields.where(), field);
  return *value;
}

// The number of the field, which must lie in [min, max]. If the field is absent, the result is
// `otherwise`.
Result<double> NumberOr(const JsonFields& fields, const char* field, double otherwise, double min,
                        double max) {
  TRY_ASSIGN(const auto value, fields.Number(field));
  if (!value) return otherwise;
  if (!(*value >= min && *value <= max))
    return Err("{}: {}: expected a number from {:g} to {:g}, found {:g}", fields.where(), field,
               min, max, *value);
  return *value;
}

Result<double> NeedNumber(const JsonFields& fields, const char* field, double min, double max) {
  if (!fields.Has(field))
    return Err("{}: {}: expected a number, found nothing", fields.where(), field);
  return NumberOr(fields, field, 0, min, max);
}

// One id, or a list of ids. Empty if the field is absent.
Result<std::vector<int32_t>> TokenIds(const JsonFields& fields, const char* field) {
  std::vector<int32_t> ids;
  const Json* value = fields.Find(field);
  if (value == nullptr) return ids;
  const Json list = value->is_array() ? *value : Json::array({*value});
  for (const Json& id : list) {
    if (!id.is_number_integer() || id.get<double>() < 0 ||
        id.get<double>() > std::numeric_limits<int32_t>::max())
      return Err("{}: {}: expected a token id or a list of them, found {}", fields.where(), field,
                 Describe(id));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// Reads architectures and model_type, which must agree. A file may lack one of them.
Result<Architecture> ParseArchitecture(const JsonFields& fields) {
  const std::string& where = fields.where();
  std::optional<Architecture> named;
  if (const Json* names = fields.Find("architectures")) {
    const Json* name = names->is_array() && names->size() == 1 ? &names->front() : names;
    if (name->is_string()) named = ArchitectureOfName(name->get_ref<const std::string&>());
    if (!named || name == names)
      return Err("{}: architectures: expected one of {}, found {}", where, ArchitectureNames(),
                 Describe(*name));
  }
  TRY_ASSIGN(const auto type, fields.String("model_type"));
  if (!type && named) return *named;
  const auto architecture = ArchitectureOfType(type.value_or(""));
  if (!architecture || (named && named != architecture))
    return Err("{}: model_type: expected {}, found {}", where,
               named ? fmt::format("\"{}\"", ModelType(*named)) : ModelTypes(),
               type ? '"' + *type + '"' : "nothing");
  return *architecture;
}

// Refuses every model that this engine does not compute. Without the refusal, the results would be
// silently wrong.
Status RefuseOthers(const JsonFields& fields) {
  const std::string& where = fields.where();
  TRY_ASSIGN(const auto activation, fields.String("hidden_act"));
  if (activation && *activation != "silu")
    return Err("{}: hidden_act: expected \"silu\", found \"{}\"", where, *activation);
  TRY_ASSIGN(const auto slices, fields.Integer("pretraining_tp", 0, kMaxDimension));
  if (slices.value_or(1) > 1)
    return Err("{}: pretraining_tp: expected 1 (plain matrix products), found {}", where, *slices);
  if (const Json* quantization = fields.Find("quantization_config")) {
    if (!quantization->is_object())
      return Err("{}: quantization_config: expected an object, found {}", where,
                 Describe(*quantization));
    TRY_ASSIGN(const auto method,
               JsonFields(*quantization, where + ": quantization_config").String("quant_method"));
    if (method == "merope") return {};
    return Err(
        "{}: quantization_config: the quantization \"{}\" is not supported: take the model's "
        "original bf16, f16 or f32 checkpoint, or a GGUF file",
        where, method.value_or("unnamed"));
  }
  return {};
}

Status ParseDType(const JsonFields& fields, ModelConfig* config) {
  const char* field = fields.Has("dtype") ? "dtype" : "torch_dtype";
  TRY_ASSIGN(auto name, fields.String(field));
  if (!name) return {};
  if (name->starts_with("torch.")) name->erase(0, 6);
  if (*name == "float32") {
    config->dtype = DType::kF32;
  } else if (*name == "float16") {
    config->dtype = DType::kF16;
  } else if (*name == "bfloat16") {
    config->dtype = DType::kBF16;
  } else {
    return Err("{}: {}: expected float32, float16 or bfloat16, found \"{}\"", fields.where(), field,
               *name);
  }
  return {};
}

// Reads the quantization_config that `merope quantize` writes. The type of the checkpoint's
// integers becomes config->dtype.
Status ParseQuantization(const JsonFields& fields, ModelConfig* config) {
  const Json* found = fields.Find("quantization_config");
  if (found == nullptr) return {};
  const JsonFields quantization(*found, fields.where() + ": quantization_config");
  TRY_ASSIGN(const auto version, quantization.Integer("version", 0, kMaxDimension));
  if (version != 1)
    return Err("{}: version: expected 1, found {}", quantization.where(),
               version ? std::to_string(*version) : "nothing");
  TRY_ASSIGN(const auto dtype, quantization.String("dtype"));
  if (dtype != "int8" && dtype != "int4")
    return Err("{}: dtype: expected \"int8\" or \"int4\", found {}", quantization.where(),
               dtype ? '"' + *dtype + '"' : "nothing");
  config->dtype = *dtype == "int8" ? DType::kInt8 : DType::kInt4;
  TRY_ASSIGN(config->quantized_from, quantization.String("source"));
  TRY_ASSIGN(config->quantized_by, quantization.String("merope_version"));
  return {};
}

Status ParseYarn(const JsonFields& rope, const ModelConfig& config, RopeScaling* scaling) {
  // As in transformers, a null factor means max_position_embeddings divided by
  // original_max_position_embeddings. The file must contain the field; ParseRope checks this.
  TRY_ASSIGN(scaling->factor,
             NumberOr(rope, "factor",
                      static_cast<double>(config.max_position_embeddings) /
                          static_cast<double>(scaling->original_max_position_embeddings),
                      1e-3, 1e6));
  double mscale = 0, mscale_all_dim = 0;
  TRY_ASSIGN(mscale, NumberOr(rope, "mscale", 0, 0, 1e6));
  TRY_ASSIGN(mscale_all_dim, NumberOr(rope, "mscale_all_dim", 0, 0, 1e6));
  TRY_ASSIGN(scaling->attention_factor,
             NumberOr(rope, "attention_factor",
                      YarnAttentionFactor(scaling->factor, mscale, mscale_all_dim), 0, 1e6));
  TRY_ASSIGN(scaling->beta_fast, NumberOr(rope, "beta_fast", 32, 0, 1e6));
  TRY_ASSIGN(scaling->beta_slow, NumberOr(rope, "beta_slow", 1, 0, 1e6));
  if (scaling->beta_fast == 0) scaling->beta_fast = 32;  // transformers takes 0 as "not given"
  if (scaling->beta_slow == 0) scaling->beta_slow = 1;
  TRY_ASSIGN(const auto truncate, rope.Bool("truncate"));
  scaling->truncate = truncate.value_or(true);
  return {};
}

// Reads rope_parameters (transformers 5), or rope_theta with rope_scaling (transformers 4).
Status ParseRope(const JsonFields& fields, ModelConfig* config) {
  static const Json empty = Json::object();
  const Json* found = fields.Find("rope_scaling");
  const bool scaling_given = found != nullptr && !found->empty();
  const char* field = scaling_given ? "rope_scaling" : "rope_parameters";
  if (!scaling_given) found = fields.Find(field);
  if (found != nullptr && !found->is_object())
    return Err("{}: {}: expected an object, found {}", fields.where(), field, Describe(*found));
  const JsonFields rope(found != nullptr ? *found : empty, fields.where() + ": " + field);

  TRY_ASSIGN(config->rope_theta, NumberOr(fields, "rope_theta", 10000, 1e-3, kUnlimited));
  TRY_ASSIGN(config->rope_theta,
             NumberOr(rope, "rope_theta", config->rope_theta, 1e-3, kUnlimited));
  for (const JsonFields* place : {&fields, &rope}) {
    TRY_ASSIGN(const double share, NumberOr(*place, "partial_rotary_factor", 1, 0, 1));
    if (share != 1)
      return Err("{}: partial_rotary_factor: expected 1 (rotating whole heads), found {:g}",
                 place->where(), share);
  }

  TRY_ASSIGN(auto kind, rope.String("rope_type"));
  if (!kind) {
    TRY_ASSIGN(kind, rope.String("type"));
  }
  RopeScaling& scaling = config->rope;
  if (!kind || *kind == "default") return {};
  if (*kind == "linear") {
    scaling.kind = RopeKind::kLinear;
    TRY_ASSIGN(scaling.factor, NeedNumber(rope, "factor", 1e-3, 1e6));
    return {};
  }
  if (*kind == "dynamic")
    return Err(
        "{}: rope_type: \"dynamic\" is not supported: its angles depend on the length of the "
        "request, so that no token could be reproduced in another one",
        rope.where());
  if (*kind != "llama3" && *kind != "yarn")
    return Err("{}: rope_type: expected default, linear, llama3 or yarn, found \"{}\"",
               rope.where(), *kind);
  scaling.original_max_position_embeddings = config->max_position_embeddings;
  for (const JsonFields* place :
       {&rope, &fields}) {  // the config's own field overrides the scaling's
    TRY_ASSIGN(const auto original,
               place->Integer("original_max_position_embeddings", 1, kMaxPositions));
    scaling.original_max_position_embeddings =
        original.value_or(scaling.original_max_position_embeddings);
  }
  if (*kind == "yarn") {
    scaling.kind = RopeKind::kYarn;
    if (!found->contains("factor"))
      return Err("{}: factor: expected a number, found nothing", rope.where());
    return ParseYarn(rope, *config, &scaling);
  }
  scaling.kind = RopeKind::kLlama3;
  TRY_ASSIGN(scaling.factor, NeedNumber(rope, "factor", 1e-3, 1e6));
  TRY_ASSIGN(scaling.low_freq_factor, NeedNumber(rope, "low_freq_factor", 1e-6, 1e6));
  TRY_ASSIGN(scaling.high_freq_factor, NeedNumber(rope, "high_freq_factor", 1e-6, 1e6));
  if (scaling.high_freq_factor <= scaling.low_freq_factor)
    return Err("{}: high_freq_factor: expected more than low_freq_factor ({:g}), found {:g}",
               rope.where(), scaling.low_freq_factor, scaling.high_freq_factor);
  return {};
}

// The values of absent fields are those of transformers.
Status ParseSizes(const JsonFields& fields, ModelConfig* config) {
  const bool qwen = config->architecture != Architecture::kLlama;
  TRY_ASSIGN(config->hidden_size, NeedInteger(fields, "hidden_size", kMaxDimension));
  TRY_ASSIGN(config->intermediate_size, NeedInteger(fields, "intermediate_size", kMaxDimension));
  TRY_ASSIGN(config->num_layers, NeedInteger(fields, "num_hidden_layers", kMaxLayers));
  TRY_ASSIGN(config->num_heads, NeedInteger(fields, "num_attention_heads", kMaxHeads));
  TRY_ASSIGN(config->vocab_size, NeedInteger(fields, "vocab_size", kMaxVocabulary));
  TRY_ASSIGN(const auto positions, fields.Integer("max_position_embeddings", 1, kMaxPositions));
  config->max_position_embeddings = positions.value_or(qwen ? 32768 : 2048);
  TRY_ASSIGN(const auto kv_heads, fields.Integer("num_key_value_heads", 1, kMaxHeads));
  const bool absent = !fields.Contains("num_key_value_heads");  // null means num_attention_heads
  config->num_kv_heads = kv_heads.value_or(qwen && absent ? 32 : config->num_heads);
  TRY_ASSIGN(auto head_dim, fields.Integer("head_dim", 1, kMaxDimension));
  if (!head_dim && config->architecture == Architecture::kQwen3) head_dim = 128;
  if (!head_dim && config->hidden_size % config->num_heads != 0)
    return Err("{}: hidden_size: expected a multiple of num_attention_heads ({}), found {}",
               fields.where(), config->num_heads, config->hidden_size);
  config->head_dim = head_dim.value_or(config->hidden_size / config->num_heads);
  return CheckHeads(*config, fields.where(),
                    {"num_attention_heads", "num_key_value_heads", "head_dim"});
}

// Whether some layer of a Qwen attends to a window only. As in transformers, layer_types names the
// layers. Without layer_types, the layers from max_window_layers on have the window.
Result<bool> HasWindowedLayers(const JsonFields& fields, int64_t num_layers) {
  const Json* types = fields.Find("layer_types");
  if (types == nullptr) {
    TRY_ASSIGN(const auto first, fields.Integer("max_window_layers", 0, kMaxDimension));
    return first.value_or(28) < num_layers;
  }
  if (!types->is_array() || std::ssize(*types) != num_layers)
    return Err("{}: layer_types: expected an array of {}, found {}", fields.where(), num_layers,
               Describe(*types));
  bool windowed = false;
  for (const Json& type : *types) {
    if (type != "full_attention" && type != "sliding_attention")
      return Err("{}: layer_types: expected full_attention or sliding_attention, found {}",
                 fields.where(), Describe(type));
    windowed |= type == "sliding_attention";
  }
  return windowed;
}

// Every layer attends to all earlier positions. Refuses a window that would leave some out.
Status RefuseWindow(const JsonFields& fields, const ModelConfig& config) {
  TRY_ASSIGN(const bool windowed, HasWindowedLayers(fields, config.num_layers));
  TRY_ASSIGN(const auto used, fields.Bool("use_sliding_window"));
  TRY_ASSIGN(const auto given, fields.Integer("sliding_window", 0, kMaxPositions));
  if (!windowed) return {};
  if (!used.value_or(false)) {
    if (!fields.Has("layer_types")) return {};
    return Err(
        "{}: layer_types: expected full_attention where use_sliding_window is not true, "
        "found sliding_attention",
        fields.where());
  }
  // An explicit null means no window.
  if (!given && fields.Contains("sliding_window")) return {};
  const int64_t window = given.value_or(4096);
  if (window >= config.max_position_embeddings) return {};
  return Err(
      "{}: sliding_window: a window is not supported: expected at least max_position_embeddings "
      "({}) or no use_sliding_window, found {}",
      fields.where(), config.max_position_embeddings, window);
}

Status ParseBiases(const JsonFields& fields, ModelConfig* config) {
  TRY_ASSIGN(const auto attention_bias, fields.Bool("attention_bias"));
  TRY_ASSIGN(const auto mlp_bias, fields.Bool("mlp_bias"));
  config->attention_bias =
      config->architecture == Architecture::kQwen2 || attention_bias.value_or(false);
  config->mlp_bias = config->architecture == Architecture::kLlama && mlp_bias.value_or(false);
  return {};
}

}  // namespace

Status CheckHeads(const ModelConfig& config, const std::string& file, const HeadFields& fields) {
  if (config.num_heads % config.num_kv_heads != 0)
    return Err("{}: {}: expected a divisor of {} ({}), found {}", file, fields.kv_heads,
               fields.heads, config.num_heads, config.num_kv_heads);
  if (config.head_dim % 2 != 0)
    return Err("{}: {}: expected an even number, found {}", file, fields.head_dim, config.head_dim);
  if (config.num_heads * config.head_dim > kMaxDimension)
    return Err("{}: {} · {}: expected at most {}, found {}", file, fields.heads, fields.head_dim,
               kMaxDimension, config.num_heads * config.head_dim);
  return {};
}

double YarnAttentionFactor(double factor, double mscale, double mscale_all_dim) {
  const auto scale = [factor](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
  };
  return mscale != 0 && mscale_all_dim != 0 ? scale(mscale) / scale(mscale_all_dim) : scale(1);
}

Result<ModelConfig> ParseConfig(std::string_view config_json, const std::string& file) {
  TRY_ASSIGN(const Json json, ParseJson(config_json, file));
  if (!json.is_object()) return Err("{}: expected an object, found {}", file, Describe(json));
  const JsonFields fields(json, file);
  TRY_ASSIGN(const Architecture architecture, ParseArchitecture(fields));
  TRY(RefuseOthers(fields));
  ModelConfig config;
  config.architecture = architecture;
  TRY(ParseSizes(fields, &config));
  TRY_ASSIGN(config.rms_norm_eps, NumberOr(fields, "rms_norm_eps", 1e-6, 0, 1));
  TRY(ParseRope(fields, &config));
  TRY(ParseDType(fields, &config));
  TRY(ParseQuantization(fields, &config));
  TRY_ASSIGN(const auto tied, fields.Bool("tie_word_embeddings"));
  config.tie_word_embeddings = tied.value_or(false);
  TRY(ParseBiases(fields, &config));
  if (architecture != Architecture::kLlama) TRY(RefuseWindow(fields, config));

  TRY_ASSIGN(config.eos_token_ids, TokenIds(fields, "eos_token_id"));
  config.eos_source = BaseName(file) + ": eos_token_id";
  if (!json.contains("eos_token_id")) {  // an explicit null means no EOS
    if (architecture == Architecture::kLlama) config.eos_token_ids = {2};
    config.eos_source = "the default of transformers (" + BaseName(file) + " has no eos_token_id)";
  }
  TRY_ASSIGN(const auto bos, TokenIds(fields, "bos_token_id"));
  if (!bos.empty()) config.bos_token_id = bos.front();
  return config;
}

Status ApplyGenerationConfig(std::string_view json_text, const std::string& file,
                             ModelConfig* config) {
  TRY_ASSIGN(const Json json, ParseJson(json_text, file));
  if (!json.is_object()) return Err("{}: expected an object, found {}", file, Describe(json));
  const JsonFields fields(json, file);
  TRY_ASSIGN(auto eos, TokenIds(fields, "eos_token_id"));
  if (!eos.empty()) {
    config->eos_token_ids = std::move(eos);
    config->eos_source = BaseName(file) + ": eos_token_id";
  }
  struct Field {
    const char* name;
    std::optional<double>* value;
    double max;
  };
  GenerationDefaults& defaults = config->generation;
  for (const Field& field : {Field{"temperature", &defaults.temperature, 1e6},
                             Field{"top_p", &defaults.top_p, 1}, Field{"min_p", &defaults.min_p, 1},
                             Field{"repetition_penalty", &defaults.repetition_penalty, 1e6}}) {
    if (!fields.Has(field.name)) continue;
    TRY_ASSIGN(*field.value, NumberOr(fields, field.name, 0, 0, field.max));
  }
  constexpr int64_t kMaxCount = std::numeric_limits<int32_t>::max();
  TRY_ASSIGN(defaults.top_k, fields.Integer("top_k", -1, kMaxCount));  // -1, 0: off
  TRY_ASSIGN(defaults.max_new_tokens, fields.Integer("max_new_tokens", 0, kMaxCount));
  TRY_ASSIGN(defaults.do_sample, fields.Bool("do_sample"));
  return {};
}

}  // namespace merope

#include "checkpoint/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "checkpoint/weight_check.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

Json Base() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 64},
          {"intermediate_size", 160},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"vocab_size", 1000},
          {"max_position_embeddings", 4096},
          {"rms_norm_eps", 1e-5},
          {"hidden_act", "silu"},
          {"eos_token_id", 2}};
}

Result<ModelConfig> Parse(const Json& json) { return ParseConfig(json.dump(), "dir/config.json"); }
Result<ModelConfig> ParseWith(const char* field, const Json& value) {
  Json json = Base();
  json[field] = value;
  return Parse(json);
}
std::string ErrorWith(const char* field, const Json& value) {
  return ErrorOf(ParseWith(field, value));
}

int64_t Parameters(const ModelConfig& config) {
  int64_t parameters = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    parameters += elements;
  }
  return parameters;
}

TEST(Config, Sizes) {
  const auto config = Parse(Base());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->hidden_size, 64);
  EXPECT_EQ(config->intermediate_size, 160);
  EXPECT_EQ(config->num_layers, 3);
  EXPECT_EQ(config->num_heads, 4);
  EXPECT_EQ(config->num_kv_heads, 2);
  EXPECT_EQ(config->head_dim, 16);
  EXPECT_EQ(config->vocab_size, 1000);
  EXPECT_EQ(config->max_position_embeddings, 4096);
  EXPECT_EQ(config->rms_norm_eps, 1e-5);
  EXPECT_EQ(config->KvBytesPerToken(2), 2 * 3 * 2 * 16 * 2);
}

TEST(Config, DefaultsAreThoseOfTransformers) {
  Json json = Base();
  for (const char* field : {"num_key_value_heads", "rms_norm_eps", "max_position_embeddings",
                            "eos_token_id", "hidden_act"})
    json.erase(field);
  const auto config = Parse(json);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->num_kv_heads, 4);
  EXPECT_EQ(config->rms_norm_eps, 1e-6);
  EXPECT_EQ(config->max_position_embeddings, 2048);
  EXPECT_EQ(config->rope_theta, 10000);
  EXPECT_EQ(config->rope.kind, RopeKind::kNone);
  EXPECT_FALSE(config->tie_word_embeddings);
  EXPECT_FALSE(config->attention_bias);
  EXPECT_FALSE(config->mlp_bias);
  EXPECT_EQ(config->dtype, DType::kF32);
  EXPECT_EQ(config->eos_token_ids, std::vector{2});
  EXPECT_TRUE(Contains(config->eos_source, "default of transformers"));
}

TEST(Config, HeadDimNeedNotBeHiddenOverHeads) {
  EXPECT_EQ(ParseWith("head_dim", 40)->head_dim, 40);
  EXPECT_EQ(ParseWith("head_dim", nullptr)->head_dim, 16);
}

TEST(Config, TheFormsOfBothVersionsOfTransformers) {
  Json four = Base(), five = Base();
  four["rope_theta"] = 50000.0;
  four["rope_scaling"] = {{"type", "linear"}, {"factor", 4.0}};
  four["torch_dtype"] = "bfloat16";
  five["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 50000.0}};
  five["dtype"] = "bfloat16";
  for (const Json& json : {four, five}) {
    const auto config = Parse(json);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->rope_theta, 50000);
    EXPECT_EQ(config->rope.kind, RopeKind::kLinear);
    EXPECT_EQ(config->rope.factor, 4);
    EXPECT_EQ(config->dtype, DType::kBF16);
  }
}

TEST(Config, AnEmptyRopeScalingLeavesTheRopeParameters) {
  Json json = Base();
  json["rope_scaling"] = Json::object();
  json["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 50000.0}};
  EXPECT_EQ(Parse(json)->rope.kind, RopeKind::kLinear);
  EXPECT_EQ(Parse(json)->rope_theta, 50000);
}

TEST(Config, PlainRopeInEveryForm) {
  for (const Json& scaling :
       {Json(nullptr), Json::object(), Json{{"rope_type", "default"}}, Json{{"type", "default"}}}) {
    const auto config = ParseWith("rope_scaling", scaling);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->rope.kind, RopeKind::kNone);
  }
  EXPECT_EQ(
      ParseWith("rope_parameters", {{"rope_type", "default"}, {"rope_theta", 1e6}})->rope_theta,
      1e6);
}

TEST(Config, Llama3Rope) {
  const Json scaling = {{"rope_type", "llama3"},
                        {"factor", 32.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 8192}};
  const auto config = ParseWith("rope_scaling", scaling);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope.kind, RopeKind::kLlama3);
  EXPECT_EQ(config->rope.factor, 32);
  EXPECT_EQ(config->rope.low_freq_factor, 1);
  EXPECT_EQ(config->rope.high_freq_factor, 4);
  EXPECT_EQ(config->rope.original_max_position_embeddings, 8192);
  for (const char* field : {"factor", "low_freq_factor", "high_freq_factor"}) {
    Json less = scaling;
    less.erase(field);
    EXPECT_TRUE(Contains(ErrorWith("rope_scaling", less),
                         std::string("dir/config.json: rope_scaling: ") + field + ": expected"));
  }
  Json swapped = scaling;
  swapped["low_freq_factor"] = 4.0;
  EXPECT_TRUE(Contains(ErrorWith("rope_scaling", swapped), "rope_scaling: high_freq_factor"));
}

TEST(Config, YarnRope) {
  Json yarn = {{"rope_type", "yarn"}, {"factor", 8.0}, {"original_max_position_embeddings", 512}};
  auto config = ParseWith("rope_parameters", yarn);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope.kind, RopeKind::kYarn);
  EXPECT_EQ(config->rope.original_max_position_embeddings, 512);
  EXPECT_EQ(config->rope.beta_fast, 32);
  EXPECT_EQ(config->rope.beta_slow, 1);
  EXPECT_TRUE(config->rope.truncate);
  EXPECT_DOUBLE_EQ(config->rope.attention_factor, 0.1 * std::log(8.0) + 1);

  yarn["mscale"] = 0.5;
  EXPECT_DOUBLE_EQ(ParseWith("rope_parameters", yarn)->rope.attention_factor,
                   0.1 * std::log(8.0) + 1);  // mscale alone has no effect
  yarn["mscale_all_dim"] = 0.25;
  EXPECT_DOUBLE_EQ(ParseWith("rope_parameters", yarn)->rope.attention_factor,
                   (0.05 * std::log(8.0) + 1) / (0.025 * std::log(8.0) + 1));
  yarn["attention_factor"] = 1.25;
  yarn["beta_fast"] = 16;
  yarn["beta_slow"] = 0;  // transformers treats 0 as absent
  yarn["truncate"] = false;
  config = ParseWith("rope_parameters", yarn);
  EXPECT_EQ(config->rope.attention_factor, 1.25);
  EXPECT_EQ(config->rope.beta_fast, 16);
  EXPECT_EQ(config->rope.beta_slow, 1);
  EXPECT_FALSE(config->rope.truncate);

  yarn["factor"] = nullptr;
  EXPECT_EQ(ParseWith("rope_parameters", yarn)->rope.factor, 8);  // 4096 / 512
  yarn.erase("original_max_position_embeddings");
  EXPECT_EQ(ParseWith("rope_parameters", yarn)->rope.original_max_position_embeddings, 4096);
  yarn.erase("factor");
  EXPECT_TRUE(Contains(ErrorWith("rope_parameters", yarn), "rope_parameters: factor: expected"));
}

// Qwen3-0.6B-Base, of which the OCC-RAG models are made, and Qwen2.5-0.5B.
TEST(Config, QwensAsTheyArePublished) {
  const Json three = {{"architectures", {"Qwen3ForCausalLM"}},
                      {"attention_bias", false},
                      {"attention_dropout", 0.0},
                      {"bos_token_id", 151643},
                      {"eos_token_id", 151643},
                      {"head_dim", 128},
                      {"hidden_act", "silu"},
                      {"hidden_size", 1024},
                      {"initializer_range", 0.02},
                      {"intermediate_size", 3072},
                      {"max_position_embeddings", 32768},
                      {"max_window_layers", 28},
                      {"model_type", "qwen3"},
                      {"num_attention_heads", 16},
                      {"num_hidden_layers", 28},
                      {"num_key_value_heads", 8},
                      {"rms_norm_eps", 1e-06},
                      {"rope_scaling", nullptr},
                      {"rope_theta", 1000000},
                      {"sliding_window", nullptr},
                      {"tie_word_embeddings", true},
                      {"torch_dtype", "bfloat16"},
                      {"transformers_version", "4.51.0"},
                      {"use_cache", true},
                      {"use_sliding_window", false},
                      {"vocab_size", 151936}};
  auto config = Parse(three);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kQwen3);
  EXPECT_EQ(config->head_dim, 128);  // not 1024 / 16
  EXPECT_EQ(config->rope_theta, 1e6);
  EXPECT_TRUE(config->has_head_norms());
  EXPECT_FALSE(config->attention_bias);
  EXPECT_FALSE(config->has_output_bias());
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_EQ(config->dtype, DType::kBF16);
  EXPECT_EQ(config->eos_token_ids, std::vector{151643});
  EXPECT_EQ(Parameters(*config), 596'049'920);  // OCC-RAG-0.6B, as published
  Json larger = three;
  larger.update({{"hidden_size", 2048}, {"intermediate_size", 6144}});
  EXPECT_EQ(Parameters(*Parse(larger)), 1'720'574'976);  // OCC-RAG-1.7B

  Json two = three;
  two.update({{"architectures", {"Qwen2ForCausalLM"}},
              {"model_type", "qwen2"},
              {"hidden_size", 896},
              {"intermediate_size", 4864},
              {"num_attention_heads", 14},
              {"num_hidden_layers", 24},
              {"num_key_value_heads", 2},
              {"max_window_layers", 21},
              {"sliding_window", 32768}});
  two.erase("head_dim");
  config = Parse(two);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->architecture, Architecture::kQwen2);
  EXPECT_EQ(config->head_dim, 64);
  EXPECT_FALSE(config->has_head_norms());
  EXPECT_TRUE(config->attention_bias);  // whatever the file says
  EXPECT_FALSE(config->has_output_bias());
}

TEST(Config, DefaultsOfQwensAreThoseOfTransformers) {
  for (const char* type : {"qwen2", "qwen3"}) {
    Json json = Base();
    json["model_type"] = type;
    json["num_attention_heads"] = 32;
    json["mlp_bias"] = true;  // transformers does not read it
    for (const char* field :
         {"architectures", "num_key_value_heads", "max_position_embeddings", "eos_token_id"})
      json.erase(field);
    const auto config = Parse(json);
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->num_kv_heads, 32);
    EXPECT_EQ(config->head_dim, type == std::string("qwen3") ? 128 : 2);
    EXPECT_EQ(config->max_position_embeddings, 32768);
    EXPECT_TRUE(config->eos_token_ids.empty());
    EXPECT_FALSE(config->mlp_bias);
    json["num_attention_heads"] = 16;
    json["num_key_value_heads"] = nullptr;
    EXPECT_EQ(Parse(json)->num_kv_heads, 16);
    json["attention_bias"] = true;
    EXPECT_EQ(Parse(json)->has_output_bias(), type == std::string("qwen3"));
  }
}

TEST(Config, RefusesOtherRopesByName) {
  EXPECT_TRUE(
      Contains(ErrorWith("rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}), "\"dynamic\""));
  EXPECT_TRUE(Contains(ErrorWith("rope_scaling", {{"rope_type", "longrope"}}), "\"longrope\""));
  EXPECT_TRUE(Contains(ErrorWith("rope_scaling", "linear"), "rope_scaling: expected an object"));
  EXPECT_TRUE(
      Contains(ErrorWith("partial_rotary_factor", 0.5), "partial_rotary_factor: expected 1"));
}

TEST(Config, RefusesOtherModelsByName) {
  EXPECT_TRUE(Contains(ErrorWith("architectures", {"MistralForCausalLM"}), "MistralForCausalLM"));
  EXPECT_TRUE(Contains(ErrorWith("architectures", Json::array()), "architectures: expected"));
  EXPECT_TRUE(Contains(ErrorWith("model_type", "qwen2"),
                       "model_type: expected \"llama\", found \"qwen2\""));
  EXPECT_TRUE(
      Contains(ErrorWith("hidden_act", "gelu"), "hidden_act: expected \"silu\", found \"gelu\""));
  EXPECT_TRUE(Contains(ErrorWith("pretraining_tp", 2), "pretraining_tp: expected 1"));
  const std::string gptq =
      ErrorWith("quantization_config", {{"quant_method", "gptq"}, {"bits", 4}});
  EXPECT_TRUE(Contains(gptq, "dir/config.json: quantization_config"));
  EXPECT_TRUE(Contains(gptq, "\"gptq\" is not supported: take"));
  EXPECT_TRUE(Contains(ErrorWith("dtype", "float8_e4m3fn"), "dtype: expected float32"));
}

TEST(Config, RefusesSizesThatCannotBe) {
  struct Case {
    const char* field;
    Json value;
  };
  for (const auto& [field, value] : std::vector<Case>{{"hidden_size", 0},
                                                      {"hidden_size", -64},
                                                      {"hidden_size", 1.5},
                                                      {"hidden_size", "64"},
                                                      {"hidden_size", int64_t{1} << 40},
                                                      {"hidden_size", 66},
                                                      {"hidden_size", nullptr},
                                                      {"intermediate_size", 0},
                                                      {"num_hidden_layers", 5000},
                                                      {"num_attention_heads", 0},
                                                      {"num_key_value_heads", 3},
                                                      {"num_key_value_heads", 8},
                                                      {"head_dim", 15},
                                                      {"head_dim", 1 << 20},
                                                      {"vocab_size", 1e300},
                                                      {"max_position_embeddings", 0},
                                                      {"rms_norm_eps", -1},
                                                      {"rms_norm_eps", "tiny"},
                                                      {"rope_theta", 0},
                                                      {"tie_word_embeddings", "yes"},
                                                      {"eos_token_id", -1},
                                                      {"eos_token_id", {2, "x"}},
                                                      {"eos_token_id", int64_t{1} << 33}}) {
    const std::string error = ErrorWith(field, value);
    EXPECT_TRUE(Contains(error, "dir/config.json: ")) << value;
    EXPECT_TRUE(Contains(error, field)) << value;
    EXPECT_TRUE(Contains(error, "expected")) << value;
  }
}

TEST(GenerationConfig, ReplacesTheEosIdsAndSetsDefaults) {
  auto config = ParseWith("eos_token_id", {7, 8});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->eos_token_ids, (std::vector{7, 8}));
  EXPECT_EQ(config->eos_source, "config.json: eos_token_id");
  const char* file = "dir/generation_config.json";
  ASSERT_TRUE(ApplyGenerationConfig(R"({"temperature": 0.6, "top_p": 0.9})", file, &*config));
  EXPECT_EQ(config->eos_token_ids, (std::vector{7, 8}));
  EXPECT_EQ(config->generation.temperature, 0.6);
  EXPECT_EQ(config->generation.top_p, 0.9);
  EXPECT_EQ(config->generation.top_k, std::nullopt);
  ASSERT_TRUE(ApplyGenerationConfig(
      R"({"eos_token_id": [1, 2], "do_sample": true, "top_k": 20, "min_p": 0.1,
          "repetition_penalty": 1.1, "max_new_tokens": 99})",
      file, &*config));
  EXPECT_EQ(config->eos_token_ids, (std::vector{1, 2}));
  EXPECT_EQ(config->eos_source, "generation_config.json: eos_token_id");
  EXPECT_EQ(config->generation.do_sample, true);
  EXPECT_EQ(config->generation.top_k, 20);
  EXPECT_EQ(config->generation.min_p, 0.1);
  EXPECT_EQ(config->generation.repetition_penalty, 1.1);
  EXPECT_EQ(config->generation.max_new_tokens, 99);
  for (const int off : {-1, 0}) {
    ASSERT_TRUE(ApplyGenerationConfig(fmt::format(R"({{"top_k": {}, "top_p": null}})", off), file,
                                      &*config));
    EXPECT_EQ(config->generation.top_k, off);
  }
  ASSERT_TRUE(ApplyGenerationConfig(R"({"top_k": null})", file, &*config));
  EXPECT_EQ(config->generation.top_k, std::nullopt);
  EXPECT_FALSE(ApplyGenerationConfig(R"({"top_k": -2})", file, &*config));
  EXPECT_TRUE(Contains(ErrorOf(ApplyGenerationConfig(R"({"top_p": 2})", file, &*config)),
                       "dir/generation_config.json: top_p: expected"));
}

TEST(Config, AnExplicitNullMeansNoEos) {
  EXPECT_TRUE(ParseWith("eos_token_id", nullptr)->eos_token_ids.empty());
}

}  // namespace
}  // namespace merope

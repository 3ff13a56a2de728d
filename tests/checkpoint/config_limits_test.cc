// The limits and error messages of config.json and generation_config.json.
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "checkpoint/config.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

// The error of a config.json in which these fields replace the fields of a valid config.
std::string ConfigError(const Json& changes) {
  Json json = {{"model_type", "llama"},    {"hidden_size", 64},
               {"intermediate_size", 160}, {"num_hidden_layers", 3},
               {"num_attention_heads", 4}, {"num_key_value_heads", 2},
               {"vocab_size", 1000},       {"max_position_embeddings", 4096}};
  json.update(changes);
  return ErrorOf(ParseConfig(json.dump(), "f"));
}

TEST(ConfigLimits, AtTheirBoundaries) {
  struct Case {
    Json changes;
    const char* error;  // "": no error
  };
  const auto scaling = [](Json more) {
    Json all = {
        {"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 1}, {"high_freq_factor", 4}};
    all.update(more);
    return Json{{"rope_scaling", all}};
  };
  for (const auto& [changes, error] : std::vector<Case>{
           {{{"hidden_size", 1 << 20}}, ""},
           {{{"hidden_size", (1 << 20) + 4}},
            "f: hidden_size: expected a whole number from 1 to 1048576, found 1048580"},
           {{{"intermediate_size", 1 << 20}}, ""},
           {{{"intermediate_size", (1 << 20) + 1}},
            "f: intermediate_size: expected a whole number from 1 to 1048576, found 1048577"},
           {{{"num_hidden_layers", 4096}}, ""},
           {{{"num_hidden_layers", 4097}},
            "f: num_hidden_layers: expected a whole number from 1 to 4096, found 4097"},
           {{{"num_attention_heads", 16384}, {"head_dim", 64}}, ""},
           {{{"num_attention_heads", 16384}, {"head_dim", 66}},
            "f: num_attention_heads · head_dim: expected at most 1048576, found 1081344"},
           {{{"num_attention_heads", 16385}, {"head_dim", 2}},
            "f: num_attention_heads: expected a whole number from 1 to 16384, found 16385"},
           {{{"num_key_value_heads", 4}}, ""},
           {{{"num_key_value_heads", 3}},
            "f: num_key_value_heads: expected a divisor of num_attention_heads (4), found 3"},
           {{{"head_dim", 2}}, ""},
           {{{"head_dim", 3}}, "f: head_dim: expected an even number, found 3"},
           {{{"hidden_size", 66}},
            "f: hidden_size: expected a multiple of num_attention_heads (4), found 66"},
           {{{"vocab_size", 1 << 22}}, ""},
           {{{"vocab_size", (1 << 22) + 1}},
            "f: vocab_size: expected a whole number from 1 to 4194304, found 4194305"},
           {{{"vocab_size", nullptr}}, "f: vocab_size: expected a whole number, found nothing"},
           {{{"max_position_embeddings", 1 << 26}}, ""},
           {{{"max_position_embeddings", (1 << 26) + 1}},
            "f: max_position_embeddings: expected a whole number from 1 to 67108864, found "
            "67108865"},
           {{{"rms_norm_eps", 0}}, ""},
           {{{"rms_norm_eps", 1}}, ""},
           {{{"rms_norm_eps", 1.5}}, "f: rms_norm_eps: expected a number from 0 to 1, found 1.5"},
           {{{"rope_theta", 1e-3}}, ""},
           {{{"rope_theta", 1e30}}, ""},
           {{{"rope_theta", 1e31}},
            "f: rope_theta: expected a number from 0.001 to 1e+30, found 1e+31"},
           {{{"pretraining_tp", 0}}, ""},
           {{{"pretraining_tp", 1}}, ""},
           {{{"pretraining_tp", 2}},
            "f: pretraining_tp: expected 1 (plain matrix products), found 2"},
           {{{"eos_token_id", INT32_MAX}}, ""},
           {{{"eos_token_id", int64_t{INT32_MAX} + 1}},
            "f: eos_token_id: expected a token id or a list of them, found 2147483648"},
           {{{"bos_token_id", {3, -1}}},
            "f: bos_token_id: expected a token id or a list of them, found -1"},
           {{{"partial_rotary_factor", 1}}, ""},
           {{{"partial_rotary_factor", 0.5}},
            "f: partial_rotary_factor: expected 1 (rotating whole heads), found 0.5"},
           {{{"dtype", "torch.float16"}}, ""},
           {{{"torch_dtype", "float64"}},
            "f: torch_dtype: expected float32, float16 or bfloat16, found \"float64\""},
           {{{"model_type", nullptr}},
            "f: model_type: expected llama, qwen2 or qwen3, found nothing"},
           {{{"model_type", "gemma"}},
            "f: model_type: expected llama, qwen2 or qwen3, found \"gemma\""},
           {{{"model_type", nullptr}, {"architectures", {"LlamaForCausalLM"}}}, ""},
           {{{"architectures", {"A", "B"}}},
            "f: architectures: expected one of LlamaForCausalLM, Qwen2ForCausalLM or "
            "Qwen3ForCausalLM, found an array of 2"},
           {{{"architectures", {"A"}}},
            "f: architectures: expected one of LlamaForCausalLM, Qwen2ForCausalLM or "
            "Qwen3ForCausalLM, found the string \"A\""},
           {{{"architectures", {3}}},
            "f: architectures: expected one of LlamaForCausalLM, Qwen2ForCausalLM or "
            "Qwen3ForCausalLM, found 3"},
           {{{"architectures", "LlamaForCausalLM"}},
            "f: architectures: expected one of LlamaForCausalLM, Qwen2ForCausalLM or "
            "Qwen3ForCausalLM, found the string \"LlamaForCausalLM\""},
           {{{"architectures", {"Qwen2ForCausalLM"}}, {"model_type", "qwen3"}},
            "f: model_type: expected \"qwen2\", found \"qwen3\""},
           {{{"quantization_config", 3}}, "f: quantization_config: expected an object, found 3"},
           {{{"quantization_config", {{"quant_method", "merope"}}}},
            "f: quantization_config: version: expected 1, found nothing"},
           {{{"quantization_config", {{"quant_method", "merope"}, {"version", 2}}}},
            "f: quantization_config: version: expected 1, found 2"},
           {{{"quantization_config", {{"quant_method", "merope"}, {"version", 1}}}},
            "f: quantization_config: dtype: expected \"int8\" or \"int4\", found nothing"},
           {{{"quantization_config",
              {{"quant_method", "merope"}, {"version", 1}, {"dtype", "int4"}}}},
            ""},
           {scaling(Json::object()), ""},
           {scaling({{"factor", 1e6}}), ""},
           {scaling({{"factor", 1.1e6}}),
            "f: rope_scaling: factor: expected a number from 0.001 to 1e+06, found 1.1e+06"},
           {scaling({{"factor", nullptr}}),
            "f: rope_scaling: factor: expected a number, found nothing"},
           {scaling({{"low_freq_factor", 4}}),
            "f: rope_scaling: high_freq_factor: expected more than low_freq_factor (4), found 4"},
           {scaling({{"rope_type", "x"}}),
            "f: rope_scaling: rope_type: expected default, linear, llama3 or yarn, found \"x\""},
           {scaling({{"original_max_position_embeddings", 1 << 26}}), ""},
           {scaling({{"original_max_position_embeddings", 0}}),
            "f: rope_scaling: original_max_position_embeddings: expected a whole number from 1 to "
            "67108864, found 0"},
       })
    EXPECT_EQ(ConfigError(changes), *error == '\0' ? "(no error)" : error) << changes;
}

// A window is refused where a layer would not attend to all earlier positions.
TEST(ConfigLimits, OfWindows) {
  struct Case {
    Json changes;
    const char* error;  // "": no error
  };
  const Json types = {"full_attention", "full_attention", "sliding_attention"};
  const char* refused =
      "f: sliding_window: a window is not supported: expected at least max_position_embeddings "
      "(4096) or no use_sliding_window, found ";
  const std::string at_2048 = refused + std::string("2048"),
                    at_4095 = refused + std::string("4095");
  for (const auto& [changes, error] : std::vector<Case>{
           {{{"sliding_window", 2048}, {"max_window_layers", 0}}, ""},
           {{{"use_sliding_window", false}, {"sliding_window", 2048}, {"max_window_layers", 0}},
            ""},
           {{{"use_sliding_window", true}, {"sliding_window", 2048}, {"max_window_layers", 2}},
            at_2048.c_str()},
           {{{"use_sliding_window", true}, {"sliding_window", 2048}, {"max_window_layers", 3}}, ""},
           {{{"use_sliding_window", true}, {"sliding_window", 2048}}, ""},  // from layer 28 on
           {{{"use_sliding_window", true}, {"sliding_window", 4096}, {"max_window_layers", 0}}, ""},
           {{{"use_sliding_window", true}, {"sliding_window", 4095}, {"max_window_layers", 0}},
            at_4095.c_str()},
           {{{"use_sliding_window", true}, {"max_window_layers", 0}}, ""},  // 4096
           {{{"use_sliding_window", true}, {"sliding_window", nullptr}, {"max_window_layers", 0}},
            ""},
           {{{"use_sliding_window", true}, {"sliding_window", 2048}, {"layer_types", types}},
            at_2048.c_str()},
           {{{"use_sliding_window", true}, {"sliding_window", 4096}, {"layer_types", types}}, ""},
           {{{"use_sliding_window", true},
             {"sliding_window", 2048},
             {"max_window_layers", 0},
             {"layer_types", {"full_attention", "full_attention", "full_attention"}}},
            ""},
           {{{"layer_types", types}},
            "f: layer_types: expected full_attention where use_sliding_window is not true, found "
            "sliding_attention"},
           {{{"layer_types", {"full_attention"}}},
            "f: layer_types: expected an array of 3, found an array of 1"},
           {{{"layer_types", "full_attention"}},
            "f: layer_types: expected an array of 3, found the string \"full_attention\""},
           {{{"layer_types", {"full_attention", "full_attention", "linear_attention"}}},
            "f: layer_types: expected full_attention or sliding_attention, found the string "
            "\"linear_attention\""},
           {{{"use_sliding_window", 1}}, "f: use_sliding_window: expected true or false, found 1"}})
    for (const char* type : {"qwen2", "qwen3"}) {
      Json all = changes;
      all["model_type"] = type;
      EXPECT_EQ(ConfigError(all), *error == '\0' ? "(no error)" : error) << changes;
    }
  // A Llama has no windows: transformers does not read these fields.
  EXPECT_EQ(ConfigError(
                {{"use_sliding_window", true}, {"sliding_window", 2048}, {"max_window_layers", 0}}),
            "(no error)");
}

TEST(ConfigLimits, OfGenerationDefaults) {
  const auto error = [](const char* json) {
    ModelConfig config;
    return ErrorOf(ApplyGenerationConfig(json, "f", &config));
  };
  for (const char* taken :
       {R"({"temperature": 0})", R"({"temperature": 1e6})", R"({"top_p": 1})", R"({"min_p": 1})",
        R"({"repetition_penalty": 1e6})", R"({"top_k": 2147483647})", R"({"max_new_tokens": 0})",
        R"({"max_new_tokens": 2147483647})"})
    EXPECT_EQ(error(taken), "(no error)") << taken;
  EXPECT_EQ(error("[]"), "f: expected an object, found an array of 0");
  EXPECT_EQ(error(R"({"temperature": 2e6})"),
            "f: temperature: expected a number from 0 to 1e+06, found 2e+06");
  EXPECT_EQ(error(R"({"top_p": -0.5})"), "f: top_p: expected a number from 0 to 1, found -0.5");
  EXPECT_EQ(error(R"({"min_p": 1.5})"), "f: min_p: expected a number from 0 to 1, found 1.5");
  EXPECT_EQ(error(R"({"top_k": 2147483648})"),
            "f: top_k: expected a whole number from -1 to 2147483647, found 2147483648");
  EXPECT_EQ(error(R"({"max_new_tokens": -1})"),
            "f: max_new_tokens: expected a whole number from 0 to 2147483647, found -1");
}

// As in transformers: 0.1 · mscale · ln(factor) + 1, or 1 if the factor is at most 1.
TEST(ConfigLimits, YarnAttentionFactors) {
  EXPECT_EQ(YarnAttentionFactor(1, 0, 0), 1);
  EXPECT_EQ(YarnAttentionFactor(0.5, 2, 3), 1);
  EXPECT_DOUBLE_EQ(YarnAttentionFactor(2, 0, 0), 1 + 0.1 * std::log(2.0));
  EXPECT_DOUBLE_EQ(YarnAttentionFactor(2, 0, 3), 1 + 0.1 * std::log(2.0));
  EXPECT_DOUBLE_EQ(YarnAttentionFactor(2, 3, 2),
                   (1 + 0.3 * std::log(2.0)) / (1 + 0.2 * std::log(2.0)));
}

}  // namespace
}  // namespace merope

// The limits, types and counts of files at their boundaries.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "checkpoint/gguf.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/weight_check.h"
#include "tests/checkpoint/support.h"
#include "tests/support/gguf_writer.h"

namespace merope {
namespace {

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// The error of a config.json that has these fields instead of the usual ones.
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
    const char* error;  // "": it is taken
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
           {{{"model_type", nullptr}}, "f: model_type: expected \"llama\", found nothing"},
           {{{"model_type", nullptr}, {"architectures", {"LlamaForCausalLM"}}}, ""},
           {{{"architectures", {"A", "B"}}},
            "f: architectures: expected [\"LlamaForCausalLM\"], found an array of 2"},
           {{{"architectures", {"A"}}},
            "f: architectures: expected [\"LlamaForCausalLM\"], found the string \"A\""},
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

// transformers: 0.1 · mscale · ln(factor) + 1, and 1 where nothing is stretched.
TEST(ConfigLimits, YarnAttentionFactors) {
  EXPECT_EQ(YarnAttentionFactor(1, 0, 0), 1);
  EXPECT_EQ(YarnAttentionFactor(0.5, 2, 3), 1);
  EXPECT_DOUBLE_EQ(YarnAttentionFactor(2, 0, 0), 1 + 0.1 * std::log(2.0));
  EXPECT_DOUBLE_EQ(YarnAttentionFactor(2, 0, 3), 1 + 0.1 * std::log(2.0));
  EXPECT_DOUBLE_EQ(YarnAttentionFactor(2, 3, 2),
                   (1 + 0.3 * std::log(2.0)) / (1 + 0.2 * std::log(2.0)));
}

TEST(SafetensorsLimits, EveryDTypeHasItsSize) {
  for (const auto& [name, bytes] :
       std::initializer_list<std::pair<const char*, size_t>>{{"F64", 8},
                                                             {"I64", 8},
                                                             {"U64", 8},
                                                             {"C64", 8},
                                                             {"F32", 4},
                                                             {"I32", 4},
                                                             {"U32", 4},
                                                             {"F16", 2},
                                                             {"BF16", 2},
                                                             {"I16", 2},
                                                             {"U16", 2},
                                                             {"I8", 1},
                                                             {"U8", 1},
                                                             {"BOOL", 1},
                                                             {"F8_E4M3", 1},
                                                             {"F8_E5M2", 1},
                                                             {"F8_E8M0", 1}}) {
    const Json header = {
        {"t", {{"dtype", name}, {"shape", {3, 2}}, {"data_offsets", {0, 6 * bytes}}}}};
    const std::string file = Safetensors(header.dump(), std::string(6 * bytes, '\0'));
    const auto entries = ParseSafetensors(AsBytes(file), "f");
    ASSERT_TRUE(entries) << name << ErrorOf(entries);
    const SafetensorsEntry& entry = entries->front();
    EXPECT_EQ(entry.dtype_name, name);
    EXPECT_EQ(entry.view.bytes.size(), 6 * bytes);
    const std::string_view text = name;
    EXPECT_EQ(entry.supported, text == "F32" || text == "F16" || text == "BF16") << name;
  }
}

TEST(SafetensorsLimits, ErrorsSayWhatWasExpected) {
  const auto error = [](const char* tensor, size_t data = 8) {
    const std::string file =
        Safetensors(std::string("{\"t\": ") + tensor + "}", std::string(data, '\0'));
    return ErrorOf(ParseSafetensors(AsBytes(file), "f"));
  };
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})"), "(no error)");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2,1,1,1,1,1,1,1], "data_offsets": [0, 8]})"),
            "(no error)");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2,1,1,1,1,1,1,1,1], "data_offsets": [0, 8]})"),
            "f: tensor \"t\": shape: expected a list of at most 8 sizes, found an array of 9");
  EXPECT_EQ(error("3"), "f: tensor \"t\": expected an object, found 3");
  EXPECT_EQ(error(R"({"shape": [2]})"),
            "f: tensor \"t\": dtype: expected F32, F16 or BF16, found \"\"");
  EXPECT_EQ(error(R"({"dtype": "F32"})"),
            "f: tensor \"t\": shape: expected a list of at most 8 sizes, found nothing");
  for (const char* size : {"0", "-1", "1.5", "9223372036854775808"})
    EXPECT_EQ(error(fmt::format(R"({{"dtype": "F32", "shape": [{}]}})", size).c_str()),
              std::string("f: tensor \"t\": shape: expected positive whole numbers, found ") +
                  (std::string_view(size).starts_with("9") ? "9223372036854775808" : size));
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [4611686018427387904, 2]})"),
            "f: tensor \"t\": shape: the product of the sizes overflows");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2]})"),
            "f: tensor \"t\": data_offsets: expected [begin, end], found nothing");
  for (const char* offsets : {"[0]", "[8,0]", "[0,8,9]", "[-1,8]", "3"})
    EXPECT_EQ(
        error(fmt::format(R"({{"dtype": "F32", "shape": [2], "data_offsets": {}}})", offsets)
                  .c_str()),
        std::string("f: tensor \"t\": data_offsets: expected [begin, end], found ") + offsets);
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})", 7),
            "f: tensor \"t\": data_offsets: expected an end within the file's 7 bytes of data, "
            "found 8 (a truncated file?)");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]})"),
            "f: tensor \"t\": data_offsets: expected 8 bytes for F32 of shape [2], found 4");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})", 9),
            "f: header: the tensors take 8 bytes of data, but the file holds 9");
  EXPECT_EQ(error(R"({"dtype": "F32", "shape": [2], "data_offsets": [1, 9]})", 9),
            "f: tensor \"t\": data_offsets: expected to begin at 0, where the tensor before it "
            "ends, found 1");
  EXPECT_EQ(ErrorOf(ParseSafetensors(AsBytes("1234567"), "f")),
            "f: header length: expected 8 bytes, found a file of 7");
  const std::string file = Safetensors("{}", "");
  EXPECT_EQ(ErrorOf(ParseSafetensors(AsBytes(file), "f")), "(no error)");
  EXPECT_EQ(ErrorOf(ParseSafetensors(AsBytes(file.substr(0, 9)), "f")),
            "f: header length: expected at most the 1 bytes that follow, found 2");
  EXPECT_EQ(ErrorOf(ParseSafetensors(AsBytes(Safetensors("[]", "")), "f")),
            "f: header: expected an object, found an array of 0");
}

// A value of each type by itself and in an array.
TEST(GgufLimits, NumbersOfEachType) {
  GgufWriter writer;
  const auto add = [&](const std::string& name, uint32_t type, auto number) {
    writer.Raw(name, type, std::string(reinterpret_cast<const char*>(&number), sizeof(number)));
    writer.Array(name + "s", type, std::vector{number, number});
  };
  add("u8", 0, uint8_t{200});
  add("i8", 1, int8_t{-100});
  add("u16", 2, uint16_t{60000});
  add("i16", 3, int16_t{-30000});
  add("u32", 4, uint32_t{4000000000});
  add("i32", 5, int32_t{-2000000000});
  add("f32", 6, 0.5f);
  add("bool", 7, uint8_t{1});
  add("u64", 10, ~uint64_t{0});
  add("i64", 11, INT64_MIN);
  add("f64", 12, 0.1);
  writer.String("text", "é");
  writer.Strings("texts", {"a", ""});
  const std::string bytes = writer.Bytes();
  const auto gguf = GgufFile::Parse(AsBytes(bytes), "f");
  ASSERT_TRUE(gguf) << ErrorOf(gguf);
  const auto integer = [&](const char* key) { return gguf->Integer(key, INT64_MIN, INT64_MAX); };
  EXPECT_EQ(integer("u8").value(), 200);
  EXPECT_EQ(integer("i8").value(), -100);
  EXPECT_EQ(integer("u16").value(), 60000);
  EXPECT_EQ(integer("i16").value(), -30000);
  EXPECT_EQ(integer("u32").value(), 4000000000);
  EXPECT_EQ(integer("i32").value(), -2000000000);
  EXPECT_EQ(integer("i64").value(), INT64_MIN);
  EXPECT_EQ(integer("absent").value(), std::nullopt);
  EXPECT_EQ(ErrorOf(integer("u64")),
            "f: u64: expected a whole number from -9223372036854775808 to 9223372036854775807, "
            "found 18446744073709551615");
  EXPECT_EQ(ErrorOf(integer("f32")), "f: f32: expected a whole number, found float32");
  EXPECT_EQ(ErrorOf(integer("bool")), "f: bool: expected a whole number, found bool");
  EXPECT_EQ(ErrorOf(integer("u8s")), "f: u8s: expected a whole number, found an array of uint8");
  EXPECT_EQ(gguf->Integer("u8", 200, 200).value(), 200);
  EXPECT_EQ(ErrorOf(gguf->Integer("u8", 201, 300)),
            "f: u8: expected a whole number from 201 to 300, found 200");
  EXPECT_EQ(ErrorOf(gguf->Integer("u8", 0, 199)),
            "f: u8: expected a whole number from 0 to 199, found 200");
  EXPECT_EQ(gguf->Number("f32", 0.5, 0.5).value(), 0.5);
  EXPECT_EQ(gguf->Number("f64", 0, 1).value(), 0.1);
  EXPECT_EQ(gguf->Number("i8", -100, 0).value(), -100);
  EXPECT_EQ(ErrorOf(gguf->Number("f32", 1, 2)), "f: f32: expected a number from 1 to 2, found 0.5");
  EXPECT_EQ(ErrorOf(gguf->Number("f32", 0, 0.25)),
            "f: f32: expected a number from 0 to 0.25, found 0.5");
  EXPECT_EQ(ErrorOf(gguf->Number("text", 0, 1)), "f: text: expected a number, found string");
  EXPECT_EQ(ErrorOf(gguf->Number("f32s", 0, 1)),
            "f: f32s: expected a number, found an array of float32");
  EXPECT_EQ(gguf->Bool("bool").value(), true);
  EXPECT_EQ(ErrorOf(gguf->Bool("u8")), "f: u8: expected a bool, found uint8");
  EXPECT_EQ(gguf->String("text").value(), "é");
  EXPECT_EQ(ErrorOf(gguf->String("texts")),
            "f: texts: expected a string, found an array of string");
  EXPECT_EQ(gguf->Strings("texts").value(), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(ErrorOf(gguf->Strings("u8s")),
            "f: u8s: expected an array of strings, found an array of uint8");
  EXPECT_EQ(gguf->Floats("f32s").value(), (std::vector<float>{0.5f, 0.5f}));
  EXPECT_EQ(gguf->Floats("f64s").value(), (std::vector<float>{0.1f, 0.1f}));
  EXPECT_EQ(ErrorOf(gguf->Floats("i8s")),
            "f: i8s: expected an array of floats, found an array of int8");
  EXPECT_EQ(gguf->Integers("i32s").value(), (std::vector<int32_t>{-2000000000, -2000000000}));
  EXPECT_EQ(gguf->Integers("u16s").value(), (std::vector<int32_t>{60000, 60000}));
  EXPECT_EQ(ErrorOf(gguf->Integers("u32s")), "f: u32s: expected 32-bit numbers, found 4000000000");
  EXPECT_EQ(ErrorOf(gguf->Integers("i64s")),
            "f: i64s: expected 32-bit numbers, found -9223372036854775808");
  EXPECT_EQ(ErrorOf(gguf->Integers("bools")),
            "f: bools: expected an array of whole numbers, found an array of bool");
  for (const char* key : {"u8", "absent"}) EXPECT_EQ(gguf->Has(key), *key == 'u');
}

TEST(GgufLimits, OfTheFile) {
  const auto error = [](auto change) {
    GgufWriter writer;
    change(writer);
    const std::string bytes = writer.Bytes();
    return ErrorOf(GgufFile::Parse(AsBytes(bytes), "f"));
  };
  EXPECT_EQ(error([](auto&) {}), "(no error)");
  EXPECT_EQ(error([](auto& w) { w.version = 1; }),
            "f: version: expected 2 or 3 (little endian), found 1");
  EXPECT_EQ(error([](auto& w) { w.version = 4; }),
            "f: version: expected 2 or 3 (little endian), found 4");
  EXPECT_EQ(error([](auto& w) { w.version = 3 << 24; }),
            "f: version: expected 2 or 3 (little endian), found 50331648, a big-endian file: "
            "convert it with gguf-convert-endian");
  EXPECT_EQ(error([](auto& w) { w.Raw("k", 13, "x"); }),
            "f: k: expected a value type from 0 to 12, found 13");
  EXPECT_EQ(error([](auto& w) { w.template Array<uint32_t>("k", 9, {}); }),
            "f: k: arrays of arrays are not supported");
  EXPECT_EQ(error([](auto& w) { w.Raw("a b", 0, "x"); }),
            "f: key 0 of 1: expected printable ASCII, found other bytes");
  EXPECT_EQ(error([](auto& w) { w.Raw("", 0, "x"); }),
            "f: key 0 of 1: expected printable ASCII, found other bytes");
  EXPECT_EQ(error([](auto& w) { w.Raw("\x7f", 0, "x"); }),
            "f: key 0 of 1: expected printable ASCII, found other bytes");
  EXPECT_EQ(error([](auto& w) { w.Raw("!~", 0, "x"); }), "(no error)");
  EXPECT_EQ(error([](auto& w) {
              w.Uint32("k", 1);
              w.Uint32("k", 1);
            }),
            "f: k: expected once, found twice");
  for (const uint32_t alignment : {1u, 32u, 1u << 20})
    EXPECT_EQ(error([=](auto& w) { w.Uint32("general.alignment", alignment); }), "(no error)");
  for (const uint32_t alignment : {0u, (1u << 20) + 1})
    EXPECT_EQ(error([=](auto& w) { w.Uint32("general.alignment", alignment); }),
              fmt::format("f: general.alignment: expected a whole number from 1 to 1048576, found "
                          "{}",
                          alignment));
  EXPECT_EQ(error([](auto& w) { w.Uint32("general.alignment", 48); }),
            "f: general.alignment: expected a power of two, found 48");

  const auto tensor = [&](std::vector<uint64_t> shape, uint32_t type, size_t bytes,
                          int64_t offset = 0) {
    return error(
        [&](auto& w) { w.Add({"t", type, std::move(shape), std::string(bytes, '\0'), offset}); });
  };
  EXPECT_EQ(tensor({2, 1, 1, 1}, 0, 8), "(no error)");
  EXPECT_EQ(tensor({}, 0, 4), "(no error)");
  EXPECT_EQ(tensor({2, 1, 1, 1, 1}, 0, 8),
            "f: tensor \"t\": dimensions: expected at most 4, found 5");
  EXPECT_EQ(tensor({0}, 0, 0),
            "f: tensor \"t\": shape: expected positive sizes whose product fits 63 bits, found 0");
  EXPECT_EQ(tensor({uint64_t{1} << 32, uint64_t{1} << 31}, 0, 0),
            "f: tensor \"t\": shape: expected positive sizes whose product fits 63 bits, found "
            "2147483648");
  EXPECT_EQ(tensor({uint64_t{1} << 62}, 0, 0), "f: tensor \"t\": shape: its bytes overflow");
  EXPECT_EQ(
      tensor({33}, 8, 68),
      "f: tensor \"t\": shape: expected rows of a multiple of 32 elements for Q8_0, found 33");
  EXPECT_EQ(tensor({2}, 0, 8, 16), "f: tensor \"t\": offset: expected a multiple of 32, found 16");
  EXPECT_EQ(tensor({9}, 0, 32),
            "f: tensor \"t\": data: expected 36 bytes at offset 0, but the file holds 32 bytes of "
            "data (a truncated file?)");
  EXPECT_EQ(tensor({2}, 0, 8, 64),
            "f: tensor \"t\": data: expected 8 bytes at offset 64, but the file holds 32 bytes of "
            "data (a truncated file?)");
  EXPECT_EQ(tensor({2}, 42, 8), "f: tensor \"t\": type: expected a ggml tensor type, found 42");
}

// ggml.h's numbers of types; all of one block and what is not known.
TEST(GgufLimits, TensorTypes) {
  const std::vector<std::pair<uint32_t, DType>> known = {
      {0, DType::kF32},   {1, DType::kF16},   {2, DType::kQ4_0}, {3, DType::kQ4_1},
      {6, DType::kQ5_0},  {7, DType::kQ5_1},  {8, DType::kQ8_0}, {12, DType::kQ4_K},
      {13, DType::kQ5_K}, {14, DType::kQ6_K}, {30, DType::kBF16}};
  const std::vector<std::pair<uint32_t, const char*>> others = {
      {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {15, "Q8_K"},     {16, "IQ2_XXS"},
      {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"},   {21, "IQ3_S"},
      {22, "IQ2_S"},  {23, "IQ4_XS"},  {24, "I8"},    {25, "I16"},      {26, "I32"},
      {27, "I64"},    {28, "F64"},     {29, "IQ1_M"}, {31, "Q4_0_4_4"}, {34, "TQ1_0"},
      {35, "TQ2_0"},  {39, "MXFP4"}};
  const auto parse = [](uint32_t type, uint64_t elements, size_t size) {
    GgufWriter writer;
    writer.Add({"t", type, {elements}, std::string(size, '\0')});
    return writer.Bytes();
  };
  for (const auto& [number, dtype] : known) {
    const std::string bytes = parse(number, static_cast<uint64_t>(BlockElements(dtype)),
                                    static_cast<size_t>(BlockBytes(dtype)));
    const auto gguf = GgufFile::Parse(AsBytes(bytes), "f");
    ASSERT_TRUE(gguf) << number << ErrorOf(gguf);
    EXPECT_EQ(gguf->tensors()[0].dtype, dtype);
    EXPECT_EQ(std::ssize(gguf->tensors()[0].bytes), BlockBytes(dtype));
  }
  for (const auto& [number, name] : others)
    EXPECT_TRUE(Contains(ErrorOf(GgufFile::Parse(AsBytes(parse(number, 256, 512)), "f")),
                         fmt::format("f: tensor \"t\": type: {} is not supported: take", name)));
  for (const uint32_t number : {4u, 5u, 42u})
    EXPECT_TRUE(Contains(ErrorOf(GgufFile::Parse(AsBytes(parse(number, 256, 512)), "f")),
                         fmt::format("expected a ggml tensor type, found {}", number)));
}

TEST(CheckpointLimits, ContextsAreCut) {
  TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(), {}));
  auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  for (const int64_t wrong : {0, 257})
    EXPECT_EQ(ErrorOf(checkpoint->LimitContext(wrong)),
              fmt::format("max_model_len: expected 1 to 256 (the checkpoint's "
                          "max_position_embeddings), found {}",
                          wrong));
  for (const int64_t length : {256, 100, 1}) {
    EXPECT_TRUE(checkpoint->LimitContext(length));
    EXPECT_EQ(checkpoint->config().max_position_embeddings, length);
  }
}

// A directory of one checkpoint of which a test changes files.
class DirectoryFiles : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Synthesize(directory_.path(), TinyConfig(), {.max_shard_bytes = 100'000}));
  }
  std::string Error() const { return ErrorOf(Checkpoint::Open(directory_.path())); }
  std::string File(const char* name) const { return directory_.File(name); }
  void PatchIndex(const char* tensor, const std::optional<Json>& shard) const {
    const std::string file = File("model.safetensors.index.json");
    Json map = (*ParseJson(Read(file), file))["weight_map"];
    if (shard)
      map[tensor] = *shard;
    else
      map.erase(tensor);
    Patch(file, "weight_map", map);
  }

  TempDir directory_;
};

TEST_F(DirectoryFiles, TheIndexSaysWhichFileHoldsATensor) {
  const std::string index = File("model.safetensors.index.json");
  EXPECT_EQ(Error(), "(no error)");
  const std::string whole = Read(index);
  const std::string first = *ParseJson(whole, "")->at("weight_map").begin();
  for (const Json& shard : {Json("../" + first), Json("a/b.safetensors"), Json("model.bin"),
                            Json(7), Json(".safetensors/")}) {
    PatchIndex("model.norm.weight", shard);
    EXPECT_EQ(Error(), index +
                           ": weight_map: model.norm.weight: expected the name of a "
                           ".safetensors file, found " +
                           Describe(shard));
  }
  Write(index, whole);
  PatchIndex("model.norm.weight", std::nullopt);
  EXPECT_TRUE(Contains(Error(), index + ": weight_map: model.norm.weight: expected model-"));
  EXPECT_TRUE(Error().ends_with(" (it holds that tensor), found nothing"));
  Write(index, whole);
  PatchIndex("nothing", first);
  EXPECT_EQ(Error(), directory_.path() + "/" + first +
                         ": tensor \"nothing\": expected (the index names this file for it), found "
                         "nothing");
  Write(index, whole);
  // Buffers that old versions saved may be missing.
  for (const char* name :
       {"model.layers.0.self_attn.rotary_emb.inv_freq", "a.rotary_emb.cos_cached",
        "a.rotary_emb.sin_cached", "a.self_attn.masked_bias"})
    PatchIndex(name, first);
  EXPECT_EQ(Error(), "(no error)");
  for (const char* map : {"{}", "3"}) {
    Patch(index, "weight_map", Json::parse(map));
    EXPECT_EQ(Error(), index + ": weight_map: expected an object, found " +
                           (*map == '3' ? "3" : "an object"));
  }
  Patch(index, "weight_map", std::nullopt);
  EXPECT_EQ(Error(), index + ": weight_map: expected an object, found nothing");
}

TEST_F(DirectoryFiles, WhatIsMissingIsNamed) {
  ASSERT_TRUE(std::filesystem::remove(File("model.safetensors.index.json")));
  EXPECT_EQ(Error(),
            File("model.safetensors") + ": no such file, and no model.safetensors.index.json");
  for (const char* pickle : {"z.pt", "y.pth", "x.bin", "a.bin.index.json"}) {
    Write(File(pickle), "");
    EXPECT_TRUE(Contains(Error(), File(pickle) + ": PyTorch pickles are not supported"));
  }
  ASSERT_TRUE(std::filesystem::remove(File("config.json")));
  EXPECT_TRUE(Contains(Error(), File("config.json") + ": cannot open"));
  Write(File("adapter_config.json"), "{}");
  EXPECT_TRUE(Contains(Error(), "an adapter alone is not supported"));
  Write(File("b.gguf"), "");
  Write(File("a.gguf"), "");
  EXPECT_EQ(Error(), File("config.json") + ": no such file; to run a.gguf, name that file itself");
}

TEST_F(DirectoryFiles, EverySpecialTokenOfTransformers) {
  Write(File("tokenizer_config.json"),
        R"({"bos_token": "b", "eos_token": {"content": "e"}, "unk_token": "u", "sep_token": "s",
            "pad_token": "p", "cls_token": {"content": 3}, "mask_token": "", "other_token": "o"})");
  Write(File("special_tokens_map.json"),
        R"({"cls_token": "c", "mask_token": "m", "bos_token": "x"})");
  const auto checkpoint = Checkpoint::Open(directory_.path());
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  SpecialTokens expected = {{"bos_token", "b"}, {"eos_token", "e"}, {"unk_token", "u"},
                            {"sep_token", "s"}, {"pad_token", "p"}, {"cls_token", "c"},
                            {"mask_token", "m"}};
  EXPECT_EQ(checkpoint->special_tokens(), expected);
  EXPECT_EQ(checkpoint->pad_token(), "p");
  EXPECT_EQ(checkpoint->unk_token(), "u");
}

TEST_F(DirectoryFiles, ATemplateOfItsOwnGoesBeforeTheConfigurations) {
  const auto text = [&] {
    const auto checkpoint = Checkpoint::Open(directory_.path());
    EXPECT_TRUE(checkpoint) << ErrorOf(checkpoint);
    const auto chat = checkpoint->LoadChatTemplate();
    EXPECT_TRUE(chat && *chat);
    return chat && *chat ? *(*chat)->RenderJson("[]", "{}", {}) : "none";
  };
  Write(File("tokenizer_config.json"), R"({"chat_template": "config"})");
  EXPECT_EQ(text(), "config");
  Write(File("chat_template.jinja"), "file");
  EXPECT_EQ(text(), "file");
  Write(File("chat_template.jinja"), "{{");
  EXPECT_TRUE(Contains(ErrorOf(Checkpoint::Open(directory_.path())->LoadChatTemplate()),
                       File("chat_template.jinja") + ": line 1: "));
  std::filesystem::remove(File("chat_template.jinja"));
  Write(File("tokenizer_config.json"), R"({"chat_template": [{"name": "x", "template": "y"}]})");
  EXPECT_EQ(Error(), File("tokenizer_config.json") +
                         ": chat_template: expected one named \"default\" in the list, found none");
  Write(File("tokenizer_config.json"), R"({"chat_template": [3]})");
  EXPECT_EQ(Error(), File("tokenizer_config.json") +
                         ": chat_template: expected objects in the list, found 3");
}

TEST_F(DirectoryFiles, TokenizersOfOtherForms) {
  ASSERT_TRUE(std::filesystem::remove(File("tokenizer.json")));
  for (const char* name : {"vocab.json", "tokenizer.model", "spiece.model"}) {
    Write(File(name), "");
    const auto checkpoint = Checkpoint::Open(directory_.path());
    ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
    EXPECT_TRUE(checkpoint->has_tokenizer());
    EXPECT_TRUE(Contains(ErrorOf(checkpoint->LoadTokenizer()),
                         File(name) + ": this form of tokenizer is not supported"));
    std::filesystem::remove(File(name));
  }
}

// Every byte is a token, and every text comes back.
TEST_F(DirectoryFiles, TheSynthesizedTokenizerTakesEveryText) {
  const auto tokenizer = LoadTokenizerFrom(directory_.path());
  ASSERT_TRUE(tokenizer) << ErrorOf(tokenizer);
  EXPECT_EQ(tokenizer->vocab_size(), 300);
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(tokenizer->TokenBytes(4 + byte), std::string(1, static_cast<char>(byte)));
  EXPECT_EQ(tokenizer->PrefixIds(), std::vector<int32_t>{2});
  const std::string text = "Hé ho, 日本 🙂\n\t\x01\x7f";
  EXPECT_EQ(*tokenizer->Decode(*tokenizer->Encode(text)), text);
}

TEST(CheckpointLimits, PathsThatAreNoCheckpoints) {
  TempDir directory;
  for (const auto& [name, part] : std::initializer_list<std::pair<const char*, const char*>>{
           {"a.safetensors", "name the directory that holds it"},
           {"a.json", "name the directory that holds it"},
           {"a.bin", "PyTorch pickles are not supported"},
           {"a.pt", "PyTorch pickles are not supported"},
           {"a.pth", "PyTorch pickles are not supported"},
           {"a.ckpt", "PyTorch pickles are not supported"},
           {"a.onnx", "expected a Hugging Face model's directory or a .gguf file"},
           {"a.model", "expected a Hugging Face model's directory or a .gguf file"},
           {"a.gguf", "magic: expected \"GGUF\""},
           {"none", "no such file or directory"}}) {
    const std::string path = directory.File(name);
    if (std::string_view(name) != "none") Write(path, "text");
    EXPECT_TRUE(Contains(ErrorOf(Checkpoint::Open(path)), path + ": "));
    EXPECT_TRUE(Contains(ErrorOf(Checkpoint::Open(path)), part));
  }
}

}  // namespace
}  // namespace merope

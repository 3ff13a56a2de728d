// The limits, types and error messages of safetensors and GGUF files.
#include <gtest/gtest.h>

#include "checkpoint/gguf.h"
#include "checkpoint/safetensors.h"
#include "tests/checkpoint/support.h"
#include "tests/support/gguf_writer.h"

namespace merope {
namespace {

std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
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

// A value of each type, alone and in an array.
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

// The numbers of the types come from ggml.h. A tensor of each supported type has one block. Other
// types and unknown numbers are errors.
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

}  // namespace
}  // namespace merope

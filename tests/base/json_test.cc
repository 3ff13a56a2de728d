#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/mapped_file.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

// The error message of a result. If there is no error, a text that no test expects.
template <class T>
std::string ErrorOf(const Result<T>& result) {
  return result ? "no error" : result.error().message;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

TEST(Json, ErrorsNameTheFileAndThePlace) {
  const std::string message = ErrorOf(ParseJson("{\n \"a\": }", "config.json"));
  EXPECT_TRUE(Contains(message, "config.json: invalid JSON")) << message;
  EXPECT_TRUE(Contains(message, "line 2")) << message;
}

TEST(Json, RefusesBadUtf8TrailingTextAndNothing) {
  EXPECT_TRUE(Contains(ErrorOf(ParseJson("{\"a\": \"\xff\"}", "f")), "f: invalid JSON"));
  EXPECT_TRUE(Contains(ErrorOf(ParseJson("{\"a\": \"\xc3\"}", "f")), "f: invalid JSON"));
  EXPECT_TRUE(Contains(ErrorOf(ParseJson("{} {}", "f")), "f: invalid JSON"));
  EXPECT_TRUE(Contains(ErrorOf(ParseJson("", "f")), "f: invalid JSON"));
  EXPECT_TRUE(Contains(ErrorOf(ParseJson("{\"a\": 1e999}", "f")), "f: invalid JSON"));
}

TEST(Json, RefusesDeepNestingWithoutRunningOutOfStack) {
  EXPECT_TRUE(ParseJson(std::string(200, '[') + std::string(200, ']'), "f"));
  for (const size_t depth : {300ul, 1'000'000ul}) {
    const std::string text = std::string(depth, '[') + std::string(depth, ']');
    EXPECT_TRUE(Contains(ErrorOf(ParseJson(text, "f")), "nested deeper than 256")) << depth;
    EXPECT_FALSE(ParseJson(std::string(depth, '['), "f")) << depth;
  }
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(ParseJson(objects, "f"));
}

TEST(Json, NestingIsCountedOutsideOfStringsUpToItsLimit) {
  const auto nested = [](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += i % 2 == 0 ? "[" : "{\"a\":";
    text += "0";
    for (int i = depth; i-- > 0;) text += i % 2 == 0 ? "]" : "}";
    return text;
  };
  EXPECT_TRUE(ParseJson(nested(256), "f"));
  EXPECT_EQ(ErrorOf(ParseJson(nested(257), "f")), "f: JSON nested deeper than 256 levels");
  const std::string brackets(300, '['), braces(300, '{');
  EXPECT_TRUE(ParseJson("[\"" + brackets + "\", \"" + braces + "\"]", "f"));
  EXPECT_TRUE(ParseJson("[\"\\\"" + brackets + "\"]", "f"));  // after an escaped quotation mark
  EXPECT_EQ(ErrorOf(ParseJson("[\"\\\\\"," + nested(256) + "]", "f")),
            "f: JSON nested deeper than 256 levels");
  std::string flat = "[0";
  for (int i = 0; i < 300; ++i) flat += ",[],{}";
  EXPECT_TRUE(ParseJson(flat + "]", "f"));
}

TEST(Json, ErrorsAreShortAndWithoutTheLibrarysNames) {
  const std::string message = ErrorOf(ParseJson("[\"" + std::string(1000, 'x'), "f"));
  const std::string_view start = "f: invalid JSON: ";
  EXPECT_TRUE(message.starts_with(start)) << message;
  EXPECT_EQ(message.size(), start.size() + 300);
  EXPECT_FALSE(Contains(message, "json.exception")) << message;
  EXPECT_TRUE(Contains(message, "parse error at line 1")) << message;
}

TEST(Json, WithoutAPlaceErrorsBeginWithTheField) {
  const Json json = {{"n", "x"}};
  const JsonFields fields(json, "");
  EXPECT_EQ(ErrorOf(fields.Integer("n", 1, 9)),
            "n: expected a whole number from 1 to 9, found the string \"x\"");
  EXPECT_EQ(ErrorOf(fields.Bool("n")), "n: expected true or false, found the string \"x\"");
}

TEST(Json, IntegersOfTheWholeRange) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(),
                    kMax = std::numeric_limits<int64_t>::max();
  const Json json = Json::parse(R"({"max": 9223372036854775807, "min": -9223372036854775808,
                                    "over": 9223372036854775808, "float": 9223372036854775808.0,
                                    "wide": 18446744073709551615})");
  const JsonFields fields(json, "");
  EXPECT_EQ(fields.Integer("min", kMin, kMax).value(), kMin);
  EXPECT_EQ(fields.Integer("max", kMin, kMax).value(), kMax);
  for (const char* over : {"over", "float", "wide"})
    EXPECT_FALSE(fields.Integer(over, kMin, kMax)) << over;
  // 9223372036854774784 is the largest double below 2^63.
  EXPECT_EQ(WholeNumber(Json(9223372036854774784.0)), 9223372036854774784);
  EXPECT_EQ(WholeNumber(Json(-9223372036854774784.0)), -9223372036854774784);
  EXPECT_EQ(WholeNumber(Json(-9223372036854775808.0)), std::nullopt);
  EXPECT_EQ(WholeNumber(Json(-0.5)), std::nullopt);
  EXPECT_EQ(WholeNumber(Json("1")), std::nullopt);
  EXPECT_EQ(WholeNumber(Json()), std::nullopt);
}

TEST(Json, RawMembersAsTheyStand) {
  const std::string text =
      "\xEF\xBB\xBF { \"a\" : {\"z\": [1, \"}\\\"]\"], \"b\": {}} ,\"s\":\"x\\\\\", \"n\": -1.5e3,"
      "\"t\":true , \"\\u0064\": [[]],\"n\" :2\n}";
  ASSERT_TRUE(ParseJson(text, "f"));
  EXPECT_EQ(RawMember(text, "a"), "{\"z\": [1, \"}\\\"]\"], \"b\": {}}");
  EXPECT_EQ(RawMember(text, "s"), "\"x\\\\\"");
  EXPECT_EQ(RawMember(text, "t"), "true");
  EXPECT_EQ(RawMember(text, "d"), "[[]]");
  EXPECT_EQ(RawMember(text, "n"), "2");
  for (const char* absent : {"z", "b", "x"}) EXPECT_EQ(RawMember(text, absent), "") << absent;
  EXPECT_EQ(RawMember("{}", "a"), "");
  EXPECT_EQ(RawMember("[{\"a\": 1}]", "a"), "");
  EXPECT_EQ(RawMember("7", "a"), "");
}

TEST(Json, TypedFields) {
  const Result<Json> json =
      ParseJson(R"({"i": 7, "f": 2.0, "h": 0.5, "big": 1e300, "u": 18446744073709551615,
                    "b": true, "s": "x", "n": null, "o": {}})",
                "file");
  ASSERT_TRUE(json);
  const JsonFields fields(*json, "file");
  EXPECT_EQ(**fields.Integer("i", 0, 10), 7);
  EXPECT_EQ(**fields.Integer("f", 0, 10), 2);
  EXPECT_EQ(**fields.Number("i"), 7);
  EXPECT_EQ(**fields.Number("h"), 0.5);
  EXPECT_TRUE(**fields.Bool("b"));
  EXPECT_EQ(**fields.String("s"), "x");
  for (const char* absent : {"n", "missing"}) {
    EXPECT_FALSE(fields.Has(absent));
    EXPECT_EQ(*fields.Integer(absent, 0, 1), std::nullopt);
    EXPECT_EQ(*fields.String(absent), std::nullopt);
  }
  EXPECT_EQ(**fields.Integer("i", 7, 7), 7);
  EXPECT_TRUE(fields.Has("i"));
  EXPECT_EQ(fields.where(), "file");
  EXPECT_EQ(*fields.Number("n"), std::nullopt);
  EXPECT_EQ(*fields.Bool("n"), std::nullopt);
  EXPECT_EQ(ErrorOf(fields.Integer("i", 8, 9)),
            "file: i: expected a whole number from 8 to 9, found 7");
  EXPECT_EQ(ErrorOf(fields.Integer("i", 0, 6)),
            "file: i: expected a whole number from 0 to 6, found 7");
  for (const char* field : {"h", "big", "u", "b", "s", "o"})
    EXPECT_TRUE(Contains(ErrorOf(fields.Integer(field, -5, int64_t{1} << 62)),
                         std::string("file: ") + field + ": expected a whole number"))
        << field;
  EXPECT_EQ(ErrorOf(fields.Number("s")), "file: s: expected a number, found the string \"x\"");
  EXPECT_EQ(ErrorOf(fields.Bool("i")), "file: i: expected true or false, found 7");
  EXPECT_EQ(ErrorOf(fields.String("o")), "file: o: expected a string, found an object");
}

TEST(Json, FieldsOfWhatIsNoObjectAreAbsent) {
  const Json array = Json::array({1, 2});
  EXPECT_EQ(JsonFields(array, "f").Find("a"), nullptr);
}

TEST(Json, DescribeIsShortAndPlainAscii) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "é\n";
  std::string described = Describe(Json(text));
  ASSERT_TRUE(described.ends_with("…"));
  described.resize(described.size() - 3);
  EXPECT_LE(described.size(), 100u);
  for (const char c : described) EXPECT_TRUE(c >= ' ' && c < 127) << described;
  EXPECT_EQ(Describe(Json::array({1, 2, 3})), "an array of 3");
  EXPECT_EQ(Describe(Json::object()), "an object");
  EXPECT_EQ(Describe(Json(1.5)), "1.5");
  EXPECT_EQ(Describe(Json()), "null");
  // At most 80 characters are shown, including the quotation marks.
  const std::string whole(78, 'x');
  EXPECT_EQ(Describe(Json(whole)), "the string \"" + whole + "\"");
  EXPECT_EQ(Describe(Json(whole + "x")), "the string \"" + whole + "x…");
}

TEST(Json, ReadJsonFileNamesThePath) {
  TempDir directory;
  const std::string path = directory.File("a.json");
  EXPECT_TRUE(Contains(ErrorOf(ReadJsonFile(path)), path));
  ASSERT_TRUE(WriteFile(path, "[1,"));
  EXPECT_TRUE(Contains(ErrorOf(ReadJsonFile(path)), path + ": invalid JSON"));
}

}  // namespace
}  // namespace merope

// JSON schemas: the documents that a schema allows, and the schemas that are refused.
#include "grammar/rules/json_schema.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "grammar/rules/json_numbers.h"
#include "grammar/rules/json_text.h"
#include "tests/grammar/grammar.h"

namespace merope {
namespace {

struct Case {
  std::string schema;
  std::vector<std::string> yes, no;
};

TEST(JsonSchema, WhatIsWrittenIsValid) {
  TestGrammars grammars;
  const Case cases[] = {
      {"{}", {"1", "\"a\"", "{\"a\":[]}", "null"}, {"", "a"}},
      {"true", {"true", "-1.5e3"}, {"01", "+1", "1."}},
      {R"({"type":"null"})", {"null"}, {"0"}},
      {R"({"type":"boolean","title":"t","x-own":3})", {"true", "false"}, {"True", "null"}},
      {R"({"type":"string"})",
       {R"("")", R"("aé\n\"\\\/\u00e9\ud83d\ude00")"},
       {"\"\n\"", "\"\t\"", R"("\ud800")", R"("\udc00\ud800")", R"("\x")", "\"\x7F\""}},
      {R"({"type":"integer"})", {"0", "-1", "123456789012345"}, {"-0", "01", "1.0", "1e3"}},
      {R"({"type":"number"})", {"0", "-0", "1.5", "-2E+10", "1e-9"}, {".5", "5.", "1e", "--1"}},
      {R"({"type":"array"})", {"[]", "[1, [], {}]", "[\n  1,\n  2\n]"}, {"[1 ,2]", "[,]", "[1,]"}},
      {R"({"type":"object"})",
       {"{}", R"({"a": 1,"b":[{}]})", "{\n  \"a\": 1\n}", "{\n}"},
       {R"({"a":1,})", R"({"a" :1})", "{  }", R"({a:1})"}},
      {R"({"type":["string","null"]})", {"\"a\"", "null"}, {"1"}},
      // Strings.
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {R"("ab")", R"("日本語")", R"("\u0041b")", R"("\ud83d\ude00b")", R"("\n\n")"},
       {R"("a")", R"("abcd")", R"("\ud83d\ude00")"}},
      {R"({"pattern":"b"})", {R"("abc")"}, {R"("ac")", "1"}},
      {R"({"type":"string","pattern":"^[\\w\"\\\\]+$"})",
       {R"("a\"b\\")"},
       {R"("a"b")", R"("a\b")"}},
      {R"({"type":"string","pattern":"^\\s$"})", {R"("\n")", R"(" ")"}, {"\"\n\"", R"("a")"}},
      {R"({"type":"string","pattern":"^a*$","maxLength":2})", {R"("aa")"}, {R"("aaa")", R"("b")"}},
      {R"({"type":"string","format":"date"})",
       {R"("2024-02-28")", R"("1999-12-31")"},
       {R"("2023-02-29")", R"("2023-13-01")", R"("2023-04-31")"}},
      {R"({"type":"string","format":"uuid"})",
       {R"("01234567-89ab-cdef-0123-456789abcdef")"},
       {R"("01234567-89ab-cdef-0123-456789abcde")"}},
      {R"({"type":"string","format":"ipv4"})",
       {R"("127.0.0.1")"},
       {R"("256.1.1.1")", R"("01.1.1.1")"}},
      {R"({"type":"string","format":"email"})", {R"("a.b@c.de")"}, {R"("a@b")", R"("@c.de")"}},
      {R"({"type":"string","format":"date-time"})",
       {R"("2024-01-02T03:04:05Z")", R"("2024-01-02T03:04:05.6+07:00")"},
       {R"("2024-01-02 03:04:05Z")", R"("2024-01-02T24:00:00Z")"}},
      // Numbers.
      {R"({"type":"integer","minimum":-5,"exclusiveMaximum":12})",
       {"-5", "-1", "0", "9", "11"},
       {"-6", "12", "-10", "100", "-0", "5.5"}},
      {R"({"type":"integer","minimum":2.5})", {"3", "100000"}, {"2", "-3", "0"}},
      {R"({"type":"number","minimum":-1.25,"maximum":0.5})",
       {"-1.25", "-1.2", "-1", "0", "0.5", "0.50", "0.499999", "-0.3"},
       {"-1.26", "-1.3", "0.51", "0.500001", "1", "-2", "1e-1"}},
      {R"({"type":"number","exclusiveMinimum":0,"exclusiveMaximum":1})",
       {"0.1", "0.000001", "0.999999"},
       {"0", "0.0", "0.000000", "1", "1.0", "-0.1"}},
      {R"({"type":"integer","multipleOf":7,"minimum":10})", {"14", "700", "77"}, {"7", "15", "0"}},
      {R"({"type":"number","multipleOf":5})", {"0", "5", "-10"}, {"1", "2.5"}},
      // Values.
      {R"({"enum":["a",1,null,{"b":[true]},"é\n"]})",
       {R"("a")", "1", "null", R"({"b":[true]})", R"("é\n")"},
       {R"("b")", "2", R"({"b": [true]})"}},
      {R"({"const":"x"})", {R"("x")"}, {R"("y")"}},
      {R"({"type":"string","enum":["a",1]})", {R"("a")"}, {"1"}},
      // Arrays.
      {R"({"items":{"type":"integer"},"minItems":1,"maxItems":3})",
       {"[1]", "[1, 2,3]"},
       {"[]", "[1,2,3,4]", "[\"a\"]"}},
      {R"({"items":{"const":1},"minItems":2})", {"[1,1]", "[1,1,1,1]"}, {"[]", "[1]"}},
      {R"({"type":"array","prefixItems":[{"const":1},{"const":2}]})",
       {"[]", "[1]", "[1,2]"},
       {"[2]", "[1,2,3]"}},
      {R"({"type":"array","prefixItems":[{"const":1}],"items":{"const":3},"minItems":1})",
       {"[1]", "[1,3,3]"},
       {"[]", "[3]", "[1,1]"}},
      {R"({"type":"array","items":[{"const":1}],"minItems":1})", {"[1]"}, {"[]", "[1,1]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","maxItems":1,"uniqueItems":true})", {"[]", "[7]"}, {"[1,1]"}},
      // Objects.
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"},"c":{"const":1}},"required":["b"]})",
       {R"({"b":null})", R"({"a":1,"b":null})", R"({"b": null, "c": 1})",
        R"({"a":1,"b":null,"c":1})"},
       {"{}", R"({"a":1})", R"({"b":null,"a":1})", R"({"b":null,"d":1})",
        R"({"b":null,"b":null})"}},
      {R"({"properties":{"a":{"const":1}},"additionalProperties":{"const":2}})",
       {"{}", R"({"a":1})", R"({"a":1,"x":2,"aa":2})", R"({"":2})", R"({"x":2})"},
       {R"({"a":2})", R"({"x":1})", R"({"x":2,"a":1})", R"({"a":1,"a":2})", R"({"\u0061":2})"}},
      {R"({"properties":{"a":{"const":1}},"additionalProperties":true,"required":["z"]})",
       {R"({"z":0})", R"({"a":1,"z":{},"y":[]})"},
       {"{}", R"({"a":1})"}},
      {R"({"additionalProperties":{"const":1},"minProperties":1,"maxProperties":2})",
       {R"({"a":1})", R"({"a":1,"b":1})"},
       {"{}", R"({"a":1,"b":1,"c":1})"}},
      {R"({"properties":{"a":{"const":1},"b":{"const":1},"c":{"const":1}},"minProperties":2})",
       {R"({"a":1,"c":1})", R"({"a":1,"b":1,"c":1})"},
       {"{}", R"({"b":1})"}},
      {R"({"properties":{"a":{"const":1},"b":{"const":1},"c":{"const":1}},"maxProperties":1})",
       {"{}", R"({"c":1})"},
       {R"({"a":1,"c":1})"}},
      {R"({"patternProperties":{"^x":{"const":1},"^y":{"const":2}},"additionalProperties":{"const":3}})",
       {R"({"x1":1,"y":2,"z":3})", "{}"},
       {R"({"x1":2})", R"({"y":3})", R"({"z":1})"}},
      {R"({"properties":{"xa":{"enum":[1,2]}},"patternProperties":{"^x":{"enum":[2,3]}}})",
       {R"({"xa":2})", R"({"xa":2,"xb":3})"},
       {R"({"xa":1})", R"({"xa":3})", R"({"a":2})"}},
      {R"({"propertyNames":{"pattern":"^[a-c]{1,2}$"},"additionalProperties":{"const":1}})",
       {R"({"a":1,"bc":1})"},
       {R"({"d":1})", R"({"abc":1})"}},
      {R"({"type":"object","properties":{"a\"b\\":{"const":1}}})",
       {R"({"a\"b\\":1})"},
       {R"({"ab":1})"}},
      {R"({"type":"object","properties":{"a":false,"b":true}})",
       {R"({"b":1})", "{}"},
       {R"({"a":1})"}},
      // References and combinations of schemas.
      {R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"v":{"const":1},
           "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"]}}})",
       {R"({"v":1,"next":null})", R"({"v":1,"next":{"v":1,"next":null}})"},
       {R"({"v":1})", R"({"v":1,"next":{}})"}},
      {R"({"items":{"$ref":"#"},"type":"array"})", {"[]", "[[],[[]]]"}, {"[1]"}},
      {R"({"$ref":"#/definitions/a~1b%20c","definitions":{"a/b c":{"const":1}}})", {"1"}, {"2"}},
      {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]})",
       {"1", R"("a")"},
       {R"("ab")"}},
      {R"({"type":"integer","anyOf":[{"minimum":5},{"maximum":-5}]})", {"5", "-7"}, {"0", "-4"}},
      {R"({"oneOf":[{"type":"integer"},{"type":"null"}]})", {"1", "null"}, {"true"}},
      {R"({"oneOf":[{"type":"object","properties":{"t":{"const":"a"},"x":{"const":1}},"required":["t"]},
                    {"type":"object","properties":{"t":{"enum":["b","c"]}},"required":["t"]}]})",
       {R"({"t":"a","x":1})", R"({"t":"c"})"},
       {R"({"t":"c","x":1})"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},
                    {"properties":{"b":{"const":1},"a":{"minimum":3}},"required":["b"]}]})",
       {R"({"a":3,"b":1})"},
       {R"({"a":2,"b":1})", R"({"a":3})"}},
      {R"({"$ref":"#/$defs/a","maximum":5,"$defs":{"a":{"type":"integer","minimum":2}}})",
       {"2", "5"},
       {"1", "6"}},
      {R"({"allOf":[{"enum":[1,2,3]},{"enum":[2,3,4]},{"not_known":1}]})", {"2", "3"}, {"1", "4"}},
      {R"({"const":1,"enum":[2,1.0]})", {"1"}, {"2", "1.0"}},
      {R"({"allOf":[{"const":1,"enum":[1,2]},{"enum":[2,1]}]})", {"1"}, {"2"}},
      {R"({"allOf":[{"enum":[{"a":1,"b":2.0}]},{"enum":[{"b":2,"a":1}]}]})",
       {R"({"a":1,"b":2.0})"},
       {"1"}},
      {R"({"anyOf":[{"const":1},{"enum":["a","ab"]},{"type":"null"}]})",
       {"1", R"("a")", R"("ab")", "null"},
       {"2", R"("b")"}},
      // Several schemas apply to one property or item.
      {R"({"patternProperties":{"^a":{"enum":[1,2]},"b$":{"enum":[2,3]}}})",
       {R"({"a":1,"b":3,"ab":2})"},
       {R"({"ab":1})", R"({"ab":3})", R"({"x":1})"}},
      {R"({"allOf":[{"properties":{"a":{"const":1}},"additionalProperties":false},
                    {"properties":{"a":{},"b":{"const":1}}}]})",
       {"{}", R"({"a":1})"},
       {R"({"b":1})", R"({"a":1,"b":1})"}},
      {R"({"allOf":[{"additionalProperties":{"enum":[1,2]}},{"patternProperties":{"^x":{"enum":[2,3]}}}]})",
       {R"({"a":1,"x":2})"},
       {R"({"a":3})", R"({"x":1})", R"({"x":3})"}},
      {R"({"type":"array","allOf":[{"prefixItems":[{"enum":[1,2]}]}],"items":{"enum":[2,3]}})",
       {"[]", "[2]", "[2,3]"},
       {"[1]", "[3]", "[2,1]"}},
      {R"({"type":"array","items":[{"const":1}],"additionalItems":{"const":2}})",
       {"[1,2,2]"},
       {"[2]", "[1,1]"}},
      {R"({"propertyNames":{"type":"integer"}})", {"{}"}, {R"({"a":1})"}},
      {R"({"propertyNames":{"enum":[1,"a"],"minimum":3}})", {"{}", R"({"a":1})"}, {R"({"b":1})"}},
      {R"({"propertyNames":{"const":3}})", {"{}"}, {R"({"3":1})"}},
      // Properties and items that no other schema evaluates.
      {R"({"type":"object","unevaluatedProperties":false})", {"{}"}, {R"({"a":1})"}},
      {R"({"allOf":[{"properties":{"a":{"const":1}}}],"unevaluatedProperties":{"const":2}})",
       {R"({"a":1})", R"({"a":1,"b":2})"},
       {R"({"a":2})", R"({"b":1})"}},
      {R"({"allOf":[{"properties":{"a":{"const":1}}},{"unevaluatedProperties":false}]})",
       {"{}"},
       {R"({"a":1})"}},
      {R"({"anyOf":[{"properties":{"a":{"const":1}},"required":["a"]},{"properties":{"b":{"const":1}}}],
           "unevaluatedProperties":{"const":3}})",
       {R"({"a":1,"b":3})", R"({"b":1})", R"({"b":1,"a":3})"},
       {R"({"a":2})", R"({"b":2})"}},
      {R"({"type":"array","allOf":[{"prefixItems":[{"const":1}]}],"unevaluatedItems":{"const":2}})",
       {"[1]", "[1,2]"},
       {"[2]", "[1,1]"}},
      {R"({"type":"array","allOf":[{"prefixItems":[true]},{"unevaluatedItems":false}]})",
       {"[]"},
       {"[1]"}},
      // A reference is relative to the nearest $id. In draft 7, other keywords beside $ref have no
      // effect.
      {R"({"$defs":{"v":{"const":1},"in":{"$id":"http://x.example/in","$defs":{"v":{"const":2}},
           "items":{"$ref":"#/$defs/v"},"type":"array"}},"$ref":"#/$defs/in"})",
       {"[]", "[2,2]"},
       {"[1]"}},
      {R"({"$schema":"http://json-schema.org/draft-07/schema#","type":"array",
           "items":{"$ref":"#/definitions/v","maximum":3},"definitions":{"v":{"type":"integer"}}})",
       {"[4]"},
       {"[null]"}},
      {R"({"type":"string","format":"hostname"})",
       {R"("a-b.example")", R"("abc.de")", R"("a.b-c.d")"},
       {R"("xn--a.example")", R"("a.ab--c")", R"("-a.b")", R"("a-.b")"}},
      // 64-bit integers.
      {R"({"type":"integer"})",
       {"9223372036854775807", "-9223372036854775808", "9007199254740993"},
       {"9223372036854775808", "-9223372036854775809", "10000000000000000000"}},
      {R"({"type":"integer","minimum":-9223372036854775808,"maximum":-9223372036854775807})",
       {"-9223372036854775808", "-9223372036854775807"},
       {"-9223372036854775806", "-9223372036854776000"}},
      {R"({"type":"integer","minimum":9223372036854775808})",
       {"9223372036854775808", "18446744073709551615"},
       {"9223372036854775807", "18446744073709551616"}},
      {R"({"type":"integer","maximum":18446744073709551615})",
       {"18446744073709551615"},
       {"18446744073709551616"}},
      {R"({"type":"integer","exclusiveMaximum":9007199254740993})",
       {"9007199254740992"},
       {"9007199254740993"}},
      {R"({"type":"number","maximum":9223372036854775807})",
       {"9223372036854775807", "-5"},
       {"9223372036854775808", "9223372036854775807.0"}},
      {R"({"enum":[9007199254740993,18446744073709551615]})",
       {"9007199254740993", "18446744073709551615"},
       {"9007199254740992"}},
      {R"({"allOf":[{"enum":[9007199254740993]},{"enum":[9007199254740992.0,9007199254740993]}]})",
       {"9007199254740993"},
       {"9007199254740992.0"}},
  };
  for (const Case& one : cases) {
    const auto grammar = grammars.Must({.json = one.schema});
    ASSERT_TRUE(grammar) << one.schema;
    for (const std::string& text : one.yes) {
      EXPECT_TRUE(grammars.Accepts(grammar, text)) << one.schema << "\n" << text;
    }
    for (const std::string& text : one.no) {
      EXPECT_FALSE(grammars.Accepts(grammar, text)) << one.schema << "\n" << text;
    }
  }
}

TEST(JsonSchema, WhatIsNotFollowedIsRefusedByName) {
  TestGrammars grammars;
  const std::pair<const char*, const char*> cases[] = {
      {R"({"not":{}})", "json: \"not\" is not supported"},
      {R"({"properties":{"a":{"items":{"if":{}}}}})",
       "json: properties/a/items: \"if\" is not supported"},
      {R"({"contains":{}})", "json: \"contains\" is not supported"},
      {R"({"dependentRequired":{}})", "json: \"dependentRequired\" is not supported"},
      {R"({"dependentSchemas":{}})", "json: \"dependentSchemas\" is not supported"},
      {R"({"$dynamicRef":"#a"})", "json: \"$dynamicRef\" is not supported"},
      {R"({"type":"array","uniqueItems":true})", "json: \"uniqueItems\" is not supported"},
      {R"({"enum":["a"],"minLength":1})",
       "json: \"minLength\" beside const or enum is not supported"},
      {R"({"type":"string","format":"regex"})",
       "json: format: expected one of date, date-time, duration, email, hostname, ipv4, ipv6, "
       "time, "
       "uri, uuid, found \"regex\""},
      {R"({"pattern":"(?=a"})", "json: pattern: at 2: a lookahead is not supported"},
      {R"({"patternProperties":{"a\\b":{}}})",
       "json: patternProperties: at 1: a word boundary is not supported"},
      {R"({"propertyNames":{"not":{}}})", "json: \"not\" in propertyNames is not supported"},
      {R"({"type":"number","multipleOf":0.01})",
       "json: multipleOf: expected an integer from 1 to 1000, found 0.01"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})",
       "json: oneOf: 0 and 1 may both be valid for a document; use anyOf"},
      {R"({"oneOf":[{"properties":{"a":{}}},{"type":"string"}]})",
       "json: oneOf: 0 and 1 may both be valid for a document; use anyOf"},
      {R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})",
       "json: schemas that must both hold have different values of \"pattern\""},
      {R"({"allOf":[{"anyOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false},{"maxLength":3}]})",
       "json: \"unevaluatedProperties\" beside anyOf or oneOf, in one of schemas that must both "
       "hold, "
       "is not supported"},
      {R"({"$schema":"http://json-schema.org/draft-07/schema#","contentEncoding":"base64"})",
       "json: \"contentEncoding\" is not supported"},
      {R"({"const":123456789012345678901234567890})",
       "json: expected integers of at most 64 bits, found 123456789012345678901234567890"},
      {R"({"$ref":"http://example.org/x"})",
       "json: $ref: expected # or #/…, found \"http://example.org/x\"; others are not supported"},
      {R"({"$ref":"#/$defs/a"})", "json: $ref: \"#/$defs/a\" is not there"},
      {R"({"type":"strin"})", "json: type: expected one of JSON's, found \"strin\""},
      {R"({"type":"string","maxLength":5000})",
       "json: maxLength: expected an integer from 0 to 4096, found 5000"},
      {R"({"uniqueItems":{"a":1}})", "json: uniqueItems: expected true or false, found {\"a\":1}"},
      {R"({"allOf":[{"uniqueItems":true},{"uniqueItems":1}]})",
       "json: schemas that must both hold have different values of \"uniqueItems\""},
      {R"({"minItems":-1})", "json: minItems: expected an integer from 0 to 4096, found -1"},
      {R"({"maximum":1e30})",
       "json: a bound of 1e+30: expected at most 20 digits before and after the point"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "json: no number is within its bounds"},
      {R"({"properties":{"a":3}})", "json: properties/a: expected a schema, found 3"},
      {R"({"required":"a"})", "json: required: expected an array, found \"a\""},
      {"false", "json: nothing can match it"},
      {R"({"enum":[]})", "json: nothing can match it"},
      {R"({"type":"object","properties":{"a":{}},"required":["b"],"additionalProperties":false})",
       "json: nothing can match it"},
      {R"({"type":"string","minLength":3,"maxLength":2})", "json: nothing can match it"},
      {R"({"type":"string","pattern":"^a$","minLength":2})", "json: nothing can match it"},
      {"{",
       "json: schema: invalid JSON: parse error at line 1, column 2: syntax error while parsing "
       "object key - unexpected end of input; expected string literal"},
  };
  for (const auto& [schema, message] : cases) {
    EXPECT_EQ(ErrorOf(grammars.Compile({.json = schema})), message) << schema;
  }
}

TEST(JsonSchema, AnEnumOfThreeThousandIsFollowed) {
  // Each letter begins many tokens, as in the vocabularies of models.
  std::vector<std::string> words, values;
  for (int i = 0; i < 20000; ++i) {
    std::string& word = words.emplace_back();
    for (int left = i + 26; left > 0; left /= 26) {
      word.push_back(static_cast<char>('a' + left % 26));
    }
  }
  std::string schema = R"({"enum":[)";
  for (int i = 0; i < 3000; ++i) {
    values.push_back(fmt::format("\"{} of the {} é{}\"", words[static_cast<size_t>(i * 7 % 20000)],
                                 words[static_cast<size_t>(i)], i % 10));
    schema += (i == 0 ? "" : ",") + values.back();
  }
  schema += "]}";
  TestGrammars grammars(words);
  const auto grammar = grammars.Must({.json = schema});
  ASSERT_TRUE(grammar);
  for (size_t i = 0; i < values.size(); i += 300) {
    EXPECT_TRUE(grammars.Accepts(grammar, values[i])) << values[i];
    EXPECT_FALSE(grammars.Accepts(grammar, values[i].substr(0, values[i].size() - 1)));
    EXPECT_FALSE(grammars.Accepts(grammar, values[i].insert(3, "q"))) << values[i];
  }
}

TEST(JsonSchema, LongStringsAreCounted) {
  TestGrammars grammars({"aa", "aaaaaaa", "a\"", "aa\"", "aaa\"", "\\n", "\\nab", "ab\\", "éé"});
  const std::tuple<const char*, int, int> cases[] = {
      {R"({"type":"string","maxLength":2000})", 0, 2000},
      {R"({"type":"string","minLength":130,"maxLength":131})", 130, 131},
      {R"({"type":"string","minLength":70,"maxLength":2010})", 70, 2010},
      {R"({"type":"string","minLength":2000})", 2000, -1},
      {R"({"type":"string","pattern":"^[a-é]{1,2000}$"})", 1, 2000},
      {R"({"type":"array","items":{"type":"string","maxLength":192},"maxItems":2000})", -1, 192},
  };
  for (const auto& [schema, min, max] : cases) {
    const auto grammar = grammars.Must({.json = schema});
    ASSERT_TRUE(grammar);
    const std::string begin = min < 0 ? "[\"\",\"" : "\"", end = min < 0 ? "\"]" : "\"";
    for (const int at : {0, 1, 31, 32, 33, min - 1, min, min + 1, max - 1, max, max + 1}) {
      if (at < 0) continue;
      std::string text = begin;
      for (int i = 0; i < at; ++i) text += i % 7 == 3 ? "é" : "a";
      text += end;
      EXPECT_EQ(grammars.Accepts(grammar, text), at >= min && (max < 0 || at <= max))
          << schema << ": " << at;
    }
    // No allowed token of several bytes leads beyond the bounds.
    for (const int at : {0, 30, max - 3}) {
      if (at < 0 || min > 0) continue;
      const std::string text = begin + std::string(static_cast<size_t>(at), 'a');
      GrammarConstraint constraint(grammar);
      ASSERT_TRUE(grammars.Follow(constraint, text));
      for (const int32_t id : grammars.Allowed(constraint)) {
        if (id < kTestFirstByte + 256) continue;
        GrammarConstraint other(grammar);
        EXPECT_TRUE(grammars.Follow(other, text + grammars.tokenizer().TokenBytes(id))) << at;
      }
    }
  }
}

TEST(Texts, ShareTheirBeginnings) {
  TestGrammars grammars;
  const std::vector<std::string> texts = {"é", "è", "a", "ab", "abc", "abd", "x", "日本", "日本語"};
  const auto grammar = grammars.Must({.choice = texts});
  for (const std::string& text : texts) EXPECT_TRUE(grammars.Accepts(grammar, text)) << text;
  for (const char* text : {"", "ac", "abcd", "日", "\xC3", "éa"}) {
    EXPECT_FALSE(grammars.Accepts(grammar, text)) << text;
  }
}

// A schema may run out of work at any point.
TEST(JsonText, GivesUpWhereTheWorkIsSpent) {
  Regular regular;
  Rules rules;
  JsonText text(&regular, &rules);
  regular.work().SpendAll();
  text.Value();
  text.Number();
  EXPECT_FALSE(regular.work().Check());
}

TEST(JsonObject, IsAnyObject) {
  TestGrammars grammars;
  const auto grammar = grammars.Must({.json_object = true});
  for (const char* text : {"{}", R"({"a":{"b":[1,"x",null]}, "c": -0.5e2})"}) {
    EXPECT_TRUE(grammars.Accepts(grammar, text)) << text;
  }
  for (const char* text : {"[]", "1", "", " {}"})
    EXPECT_FALSE(grammars.Accepts(grammar, text)) << text;
}

TEST(JsonNumbers, IntegersAreWithinTheirBounds) {
  for (const double low : {-120.0, -100.0, -10.5, -1.0, 0.0, 1.0, 9.5, 37.0}) {
    for (const double width : {0.0, 1.0, 8.0, 63.0, 150.0}) {
      for (const bool exclusive : {false, true}) {
        Regular regular;
        NumberBounds bounds;
        (exclusive ? bounds.above : bounds.min) = Decimal::Of(fmt::format("{}", low));
        (exclusive ? bounds.below : bounds.max) = Decimal::Of(fmt::format("{}", low + width));
        const auto numbers = Integers(bounds, &regular);
        for (int number = -300; number <= 300; ++number) {
          const bool in = exclusive ? number > low && number < low + width
                                    : number >= low && number <= low + width;
          const bool holds = numbers && regular.Holds(*numbers, std::to_string(number));
          EXPECT_EQ(holds, in) << low << " + " << width << ": " << number;
        }
      }
    }
  }
}

TEST(JsonNumbers, DecimalsAreWithinTheirBounds) {
  for (const double low : {-2.05, -1.0, -0.5, 0.0, 0.05, 0.995, 1.2}) {
    for (const double width : {0.0, 0.01, 0.3, 1.0, 2.345}) {
      for (const bool exclusive : {false, true}) {
        Regular regular;
        NumberBounds bounds;
        const double high = std::round((low + width) * 1000) / 1000;
        (exclusive ? bounds.above : bounds.min) = Decimal::Of(fmt::format("{}", low));
        (exclusive ? bounds.below : bounds.max) = Decimal::Of(fmt::format("{}", high));
        const auto numbers = Decimals(bounds, &regular);
        for (int number = -4000; number <= 4000; number += 5) {
          const double value = number / 1000.0;
          std::string text = fmt::format("{:.3f}", value);
          if (number % 2 == 0) {
            while (text.ends_with('0')) text.pop_back();
            if (text.ends_with('.')) text.pop_back();
          }
          const bool in = exclusive ? value > low && value < high : value >= low && value <= high;
          const bool holds = numbers && regular.Holds(*numbers, text);
          EXPECT_EQ(holds, in) << low << " to " << high << ": " << text;
        }
      }
    }
  }
}

}  // namespace
}  // namespace merope

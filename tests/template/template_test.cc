// Compares the results of Jinja expressions and statements with jinja2's results.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "template/jinja/parser.h"
#include "template/jinja/renderer.h"
#include "tests/support/expect.h"

namespace merope::jinja {
namespace {

using Json = nlohmann::ordered_json;

Value ToValue(const Json& json) {
  if (json.is_null()) return Value::NoneValue();
  if (json.is_boolean()) return Value::Bool(json.get<bool>());
  if (json.is_number_integer()) return Value::Int(json.get<int64_t>());
  if (json.is_number()) return Value::Double(json.get<double>());
  if (json.is_string()) return Value::String(json.get<std::string>());
  std::vector<Value> items;
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, child] : json.items()) {
    if (json.is_array())
      items.push_back(ToValue(child));
    else
      entries.emplace_back(Value::String(key), ToValue(child));
  }
  return json.is_array() ? *Value::List(std::move(items)) : *Value::Map(std::move(entries));
}

// The variables of tests/oracles/template_cases.py.
const Json kVariables = Json::parse(R"({
    "messages": [{"role": "system", "content": " Be brief.\n"},
                 {"role": "user", "content": "Hé ho"},
                 {"role": "assistant", "content": "", "n": 3}],
    "a": 7, "b": -2, "f": 2.5, "s": "Hello, World", "u": "né 日本 🙂 x", "e": "", "t": true,
    "none_": null, "l": [3, 1, 2], "words": ["b", "A", "c", "a"],
    "d": {"k": "v", "x": 1, "m": [1, {"y": null}]}, "nest": [[1, 2], [3, 4]],
    "multi": "one\n  two\n\nthree\n"})");

std::string Render(const std::string& source) {
  Variables variables;
  for (const auto& [name, json] : kVariables.items()) variables.emplace_back(name, ToValue(json));
  const std::string file = "f";
  const auto parsed = Template::Parse(source, file);
  if (!parsed) return "ERROR " + parsed.error().message;
  const auto text = parsed->Render(variables, {});
  return text ? *text : "ERROR " + text.error().message;
}

// Each line of the file is [template, text] or [template, null, error]. The texts come from jinja2
// 3.1 in the environment of transformers. If jinja2 fails, or if merope lacks a feature of jinja2,
// merope gives an error with the line and the name.
TEST(Jinja, GivesWhatJinja2Gives) {
  std::ifstream file(MEROPE_SOURCE_DIR "/tests/template/cases.jsonl");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const Json json = Json::parse(line);
    const std::string expected =
        json[1].is_null() ? "ERROR f: " + json[2].get<std::string>() : json[1].get<std::string>();
    EXPECT_EQ(Render(json[0].get<std::string>()), expected) << json[0];
  }
  EXPECT_GT(cases, 1000);
}

std::string Repeat(std::string_view text, size_t n) {
  std::string all;
  for (size_t i = 0; i < n; ++i) all += text;
  return all;
}

// A template may use as many bytes, items, levels and steps as the limits allow. One more is an
// error.
TEST(Jinja, LimitsAtTheirBoundaries) {
  struct Case {
    std::string source, expected;  // "…": any text that is not an error
  };
  const std::string error = "ERROR f: line 1: ";
  const auto nested = [](int n) {
    return "{% set n = namespace(x=1) %}{% for i in range(" + std::to_string(n) +
           ") %}{% set n.x = [n.x] %}{% endfor %}x";
  };
  const auto macros = [](int n) {
    return "{% macro m(n) %}{% if n > 1 %}{{ m(n - 1) }}{% endif %}x{% endmacro %}{{ m(" +
           std::to_string(n) + ") | length }}";
  };
  // The limits: texts of 16 MiB, values of 100,000 items and 64 levels, 10,000 items to sort, 1,000
  // items for unique, 20 nested macro calls, sources of 1 MiB.
  for (const auto& [source, expected] : std::vector<Case>{
           {"{{ ('a' * 16777216) | length }}", "16777216"},
           {"{{ ('a' * 16777217) | length }}",
            error + "\"*\": a string of more than 16777216 bytes"},
           {"{{ ('a' * 8388608 + 'a' * 8388608) | length }}", "16777216"},
           {"{{ ('a' * 8388608 + 'a' * 8388609) | length }}",
            error + "\"+\": a string of more than 16777216 bytes"},
           {"{{ 'a' * 16777216 }}", "…"},
           {"{{ 'a' * 16777216 }}{{ 'a' }}",
            error + "the template writes more than 16777216 bytes"},
           {"{{ ['a' * 8388608, 'a' * 8388607] | join('-') | length }}", "16777216"},
           {"{{ ['a' * 8388608, 'a' * 8388608] | join('-') | length }}",
            error + "filter join: join: a string of more than 16777216 bytes"},
           {"{{ ('a' * 8388608) | replace('a', 'bb') | length }}", "16777216"},
           {"{{ ('a' * 8388609) | replace('a', 'bb') | length }}",
            error + "filter replace: replace: a string of more than 16777216 bytes"},
           {"{{ ([1] * 100000) | length }}", "100000"},
           {"{{ ([1] * 100001) | length }}", error + "\"*\": a list of more than 100000 items"},
           {"{{ ([1] * 50000 + [1] * 50000) | length }}", "100000"},
           {"{{ ([1] * 50000 + [1] * 50001) | length }}",
            error + "a value of more than 100000 items"},
           {"{{ ('a' * 100000) | list | length }}", "100000"},
           {"{{ ('a' * 100001) | list | length }}",
            error + "filter list: a string of more than 100000 bytes, to iterate"},
           {"{{ ([2, 1] * 5000) | sort | length }}", "10000"},
           {"{{ ([2, 1] * 5001) | sort | length }}",
            error + "filter sort: more than 10000 items to sort"},
           {"{{ range(1000) | list | unique | list | length }}", "1000"},
           {"{{ range(1001) | list | unique | list | length }}",
            error + "filter unique: more than 1000 items"},
           {nested(64), "x"},
           {nested(65), error + "a value nested deeper than 64 levels"},
           {macros(20), "20"},
           {macros(21), error + "macros call each other more than 20 levels deep"},
           {Repeat("a", 1 << 20), "…"},
           {Repeat("a", (1 << 20) + 1),
            "ERROR f: expected a chat template of at most 1048576 bytes, found 1048577"},
           // The template itself takes one level. So does the innermost part of an expression.
           {Repeat("{% if t %}", 49) + "x" + Repeat("{% endif %}", 49), "x"},
           {Repeat("{% if t %}", 50) + "x" + Repeat("{% endif %}", 50),
            error + "statements nested deeper than 50 levels"},
           {"{{ 1" + Repeat(" + 1", 99) + " }}", "100"},
           {"{{ 1" + Repeat(" + 1", 100) + " }}",
            error + "an expression nested deeper than 100 levels"},
           {"{{ [1]" + Repeat(" | list", 98) + " }}", "[1]"},
           {"{{ [1]" + Repeat(" | list", 99) + " }}",
            error + "an expression nested deeper than 100 levels"},
       }) {
    const std::string text = Render(source);
    if (expected == "…")
      EXPECT_FALSE(text.starts_with("ERROR")) << source.substr(0, 80) << text.substr(0, 200);
    else
      EXPECT_EQ(text.substr(0, 200), expected) << source.substr(0, 80);
  }
}

}  // namespace
}  // namespace merope::jinja

// Expressions and statements of Jinja, against what jinja2 gives.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/expect.h"
#include "text/jinja_parser.h"
#include "text/jinja_renderer.h"

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
  const auto body = ParseTemplate(source, file);
  if (!body) return "ERROR " + body.error().message;
  const std::optional<std::tm> now;
  const auto text = Renderer(variables, file, now).Render(*body);
  return text ? *text : "ERROR " + text.error().message;
}

// Lines [template, text] or [template, null, error]. The texts are those of jinja2 3.1 in the
// environment of transformers; where that fails or has more than ours, ours refuses by line and
// name.
TEST(Jinja, GivesWhatJinja2Gives) {
  std::ifstream file(MEROPE_SOURCE_DIR "/tests/text/jinja_cases.jsonl");
  int cases = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const Json json = Json::parse(line);
    const std::string expected =
        json[1].is_null() ? "ERROR f: " + json[2].get<std::string>() : json[1].get<std::string>();
    EXPECT_EQ(Render(json[0].get<std::string>()), expected) << json[0];
  }
  EXPECT_GT(cases, 1000);
}

}  // namespace
}  // namespace merope::jinja

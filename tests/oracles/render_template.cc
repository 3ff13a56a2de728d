// Renders chat templates for the comparison with jinja2: JSON lines {"template": …, "variables":
// {…}} on standard input,
// {"text": …} or {"error": …} on standard output. The variables of a line without "messages" are
// given as they are.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "text/jinja_parser.h"
#include "text/jinja_renderer.h"

namespace merope::jinja {
namespace {

using Json = nlohmann::ordered_json;

Result<Value> ToValue(const Json& json) {
  if (json.is_null()) return Value::NoneValue();
  if (json.is_boolean()) return Value::Bool(json.get<bool>());
  if (json.is_number_integer()) return Value::Int(json.get<int64_t>());
  if (json.is_number()) return Value::Double(json.get<double>());
  if (json.is_string()) return Value::String(json.get<std::string>());
  std::vector<Value> items;
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, child] : json.items()) {
    TRY_ASSIGN(Value value, ToValue(child));
    if (json.is_array()) {
      items.push_back(std::move(value));
    } else {
      entries.emplace_back(Value::String(key), std::move(value));
    }
  }
  return json.is_array() ? Value::List(std::move(items)) : Value::Map(std::move(entries));
}

Result<std::string> Render(const Json& line) {
  Variables variables;
  for (const auto& [name, json] : line.at("variables").items()) {
    TRY_ASSIGN(Value value, ToValue(json));
    variables.emplace_back(name, std::move(value));
  }
  const std::string file = "template";
  TRY_ASSIGN(const Body body, ParseTemplate(line.at("template").get<std::string>(), file));
  return Renderer(variables, file).Render(body);
}

}  // namespace
}  // namespace merope::jinja

int main() {
  using merope::jinja::Json;
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = merope::jinja::Render(Json::parse(line));
    const Json answer = text ? Json{{"text", *text}} : Json{{"error", text.error().message}};
    std::cout << answer.dump(-1, ' ', true, Json::error_handler_t::replace) << "\n";
  }
}

// Renders chat templates for the comparison with jinja2 and transformers. Standard input has JSON
// lines {"template": …, "variables": {…}}. Standard output has JSON lines {"text": …} or {"error":
// …}. The template gets the variables as they are. A line with "messages" is rendered as a chat,
// with the "tool_use", "special_tokens" and options of the line.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "prompt/chat_template.h"
#include "template/template.h"

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

Result<std::string> RenderChat(const Json& line) {
  ChatTemplateSource source{.text = line.at("template"), .file = "template", .tool_use = {}};
  if (line.contains("tool_use")) source.tool_use = line.at("tool_use").get<std::string>();
  for (const auto& [name, text] : line.at("special_tokens").items())
    source.special_tokens.emplace_back(name, text);
  const ChatTemplateOptions options{
      .add_generation_prompt = line.at("add_generation_prompt"),
      .continue_final = line.at("continue_final"),
      .openai_messages = line.at("openai_messages"),
  };
  TRY_ASSIGN(const ChatTemplate chat, ChatTemplate::Parse(std::move(source)));
  return chat.RenderJson(line.at("messages").dump(), line.at("variables").dump(), options);
}

Result<std::string> Render(const Json& line) {
  if (line.contains("messages")) return RenderChat(line);
  Variables variables;
  for (const auto& [name, json] : line.at("variables").items()) {
    TRY_ASSIGN(Value value, ToValue(json));
    variables.emplace_back(name, std::move(value));
  }
  TRY_ASSIGN(const Template parsed,
             Template::Parse(line.at("template").get<std::string>(), "template"));
  return parsed.Render(variables, {});
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

#include "text/chat_template.h"

#include <utility>

#include "text/jinja_json.h"
#include "text/jinja_parser.h"
#include "text/jinja_renderer.h"

namespace merope {
namespace {

using jinja::Value;

Result<Value> ToValue(std::span<const ChatMessage> messages) {
  std::vector<Value> values;
  for (const ChatMessage& message : messages) {
    TRY_ASSIGN(Value value,
               Value::Map({{Value::String("role"), Value::String(message.role)},
                           {Value::String("content"), Value::String(message.content)}}));
    values.push_back(std::move(value));
  }
  return Value::List(std::move(values));
}

// Those that transformers' apply_chat_template gives: tools and documents are none, and a special
// token that there is not is undefined.
jinja::Variables Variables(Value messages, const ChatTemplateOptions& options) {
  jinja::Variables variables = {
      {"messages", std::move(messages)},
      {"tools", Value::NoneValue()},
      {"documents", Value::NoneValue()},
      {"add_generation_prompt", Value::Bool(options.add_generation_prompt)}};
  if (!options.bos_token.empty())
    variables.emplace_back("bos_token", Value::String(options.bos_token));
  if (!options.eos_token.empty())
    variables.emplace_back("eos_token", Value::String(options.eos_token));
  return variables;
}

}  // namespace

struct ChatTemplate::Program {
  jinja::Body body;
  std::string file;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::Parse(std::string_view source, const std::string& file) {
  TRY_ASSIGN(jinja::Body body, jinja::ParseTemplate(source, file));
  return ChatTemplate(std::make_unique<const Program>(std::move(body), file));
}

Result<std::string> ChatTemplate::Render(std::span<const ChatMessage> messages,
                                         const ChatTemplateOptions& options) const {
  TRY_ASSIGN(Value list, ToValue(messages));
  const jinja::Variables variables = Variables(std::move(list), options);
  return jinja::Renderer(variables, program_->file).Render(program_->body);
}

Result<std::string> ChatTemplate::RenderJson(std::string_view messages, std::string_view variables,
                                             const ChatTemplateOptions& options) const {
  TRY_ASSIGN(Value list, jinja::FromJson(messages, "messages"));
  if (list.sequence() == nullptr)
    return Err("messages: expected a list, found {}", list.TypeName());
  for (const Value& message : list.sequence()->items)
    if (message.mapping() == nullptr || message.mapping()->Find("role") == nullptr)
      return Err("messages: expected objects with a role, found {}",
                 message.mapping() == nullptr ? message.TypeName() : "one without");
  TRY_ASSIGN(const Value more, jinja::FromJson(variables, "chat_template_kwargs"));
  if (more.mapping() == nullptr)
    return Err("chat_template_kwargs: expected an object, found {}", more.TypeName());
  jinja::Variables all = Variables(std::move(list), options);
  for (const auto& [name, value] : more.mapping()->entries) {
    std::erase_if(all, [&](const auto& variable) { return variable.first == *name.text(); });
    all.emplace_back(*name.text(), value);
  }
  return jinja::Renderer(all, program_->file).Render(program_->body);
}

}  // namespace merope

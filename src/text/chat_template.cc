#include "text/chat_template.h"

#include <utility>

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

// The variables that transformers' apply_chat_template gives: tools and documents are none, and a
// special token that there is not is undefined.
Result<std::string> ChatTemplate::Render(std::span<const ChatMessage> messages,
                                         const ChatTemplateOptions& options) const {
  TRY_ASSIGN(Value list, ToValue(messages));
  jinja::Variables variables = {
      {"messages", std::move(list)},
      {"tools", Value::NoneValue()},
      {"documents", Value::NoneValue()},
      {"add_generation_prompt", Value::Bool(options.add_generation_prompt)}};
  if (!options.bos_token.empty())
    variables.emplace_back("bos_token", Value::String(options.bos_token));
  if (!options.eos_token.empty())
    variables.emplace_back("eos_token", Value::String(options.eos_token));
  return jinja::Renderer(variables, program_->file).Render(program_->body);
}

}  // namespace merope

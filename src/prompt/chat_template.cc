#include "prompt/chat_template.h"

#include <algorithm>
#include <utility>

#include "prompt/chat_messages.h"
#include "template/json.h"

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

// Checks that value is a list of objects, or none.
Status CheckObjects(const std::string& name, const Value& value) {
  if (value.is_none()) return {};
  if (value.sequence() == nullptr)
    return FieldErr(name, "expected a list, found {}", value.TypeName());
  for (const Value& item : value.sequence()->items)
    if (item.mapping() == nullptr)
      return FieldErr(name, "expected objects, found {}", item.TypeName());
  return {};
}

}  // namespace

Result<ChatTemplate::Text> ChatTemplate::ParseText(std::string source, std::string file) {
  TRY_ASSIGN(jinja::Template parsed, jinja::Template::Parse(source, std::move(file)));
  const bool takes_parts = parsed.IteratesOver("content");
  return Text{std::move(source), std::move(parsed), takes_parts};
}

Result<ChatTemplate> ChatTemplate::Parse(ChatTemplateSource source) {
  TRY_ASSIGN(Text text, ParseText(std::move(source.text), source.file));
  ChatTemplate chat(std::move(text));
  if (source.tool_use)
    chat.tool_use_ = ParseText(std::move(*source.tool_use), source.file + ": tool_use");
  chat.special_tokens_ = std::move(source.special_tokens);
  return chat;
}

Result<std::optional<ChatTemplate>> LoadChatTemplate(const Checkpoint& checkpoint) {
  if (!checkpoint.chat_template()) return std::nullopt;
  TRY_ASSIGN(ChatTemplate chat, ChatTemplate::Parse(*checkpoint.chat_template()));
  return std::optional(std::move(chat));
}

Result<std::string> ChatTemplate::Run(const Value& given_messages,
                                      const jinja::Variables& more_variables,
                                      const ChatTemplateOptions& options) const {
  // The variables that transformers' apply_chat_template gives: tools and documents are none. A
  // special token that does not exist is undefined.
  jinja::Variables variables = {
      {"messages", Value()},
      {"tools", Value::NoneValue()},
      {"documents", Value::NoneValue()},
      {"add_generation_prompt", Value::Bool(options.add_generation_prompt)}};
  for (const auto& [name, text_of] : special_tokens_)
    variables.emplace_back(name, Value::String(text_of));
  for (const auto& [name, value] : more_variables) {
    std::erase_if(variables, [&](const auto& variable) { return variable.first == name; });
    variables.emplace_back(name, value);
  }
  const Text* chosen = &text_;
  for (const auto& [name, value] : variables) {
    if (name != "tools" && name != "documents") continue;
    TRY(CheckObjects(name, value));
    if (name == "documents" || value.is_none() || !tool_use_) continue;
    if (!*tool_use_) return std::unexpected(tool_use_->error());
    chosen = &**tool_use_;
  }
  Value messages = given_messages;
  if (options.openai_messages) {
    TRY_ASSIGN(messages, ReadOpenAiMessages(messages, !chosen->takes_parts));
  }
  TRY_ASSIGN(messages, ReadMessages(messages));
  MarkedMessages marked;
  if (!options.continue_final.empty()) {
    if (options.add_generation_prompt)
      return FieldErr("continue_final_message", "expected no add_generation_prompt with it");
    TRY_ASSIGN(marked, MarkEnd(messages, options.continue_final, chosen->source));
    messages = std::move(marked.messages);
  }
  std::ranges::find(variables, "messages", &jinja::Variables::value_type::first)->second =
      std::move(messages);
  TRY_ASSIGN(std::string rendered, chosen->parsed.Render(variables, options.date));
  if (!options.continue_final.empty()) TRY(CutAtMark(marked.last, &rendered));
  return rendered;
}

Result<std::string> ChatTemplate::Render(std::span<const ChatMessage> messages,
                                         const ChatTemplateOptions& options) const {
  TRY_ASSIGN(const Value list, ToValue(messages));
  return Run(list, {}, options);
}

Result<std::string> ChatTemplate::RenderJson(std::string_view messages, std::string_view variables,
                                             const ChatTemplateOptions& options) const {
  TRY_ASSIGN(const Value list, jinja::FromJson(messages, "messages"));
  TRY_ASSIGN(const Value more, jinja::FromJson(variables, "chat_template_kwargs"));
  if (more.mapping() == nullptr)
    return FieldErr("chat_template_kwargs", "expected an object, found {}", more.TypeName());
  jinja::Variables all;
  for (const auto& [name, value] : more.mapping()->entries) {
    if (*name.text() == "messages" || *name.text() == "add_generation_prompt")
      return FieldErr("chat_template_kwargs", "{}: expected an argument of its own", *name.text());
    all.emplace_back(*name.text(), value);
  }
  return Run(list, all, options);
}

}  // namespace merope

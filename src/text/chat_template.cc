#include "text/chat_template.h"

#include <algorithm>
#include <utility>

#include "text/chat_messages.h"
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

// A list of objects, or none.
Status CheckObjects(const std::string& name, const Value& value) {
  if (value.is_none()) return {};
  if (value.sequence() == nullptr)
    return Err("{}: expected a list, found {}", name, value.TypeName());
  for (const Value& item : value.sequence()->items)
    if (item.mapping() == nullptr)
      return Err("{}: expected objects, found {}", name, item.TypeName());
  return {};
}

}  // namespace

struct ChatTemplate::Program {
  struct Text {
    std::string source;
    jinja::Body body;
    bool takes_parts;
  };
  static Result<Text> Parse(std::string source, const std::string& file) {
    TRY_ASSIGN(jinja::Body body, jinja::ParseTemplate(source, file));
    const bool takes_parts = TakesParts(body);
    return Text{std::move(source), std::move(body), takes_parts};
  }

  // Of the variables, tools decide which text is taken.
  Result<std::string> Run(const Value& given, const jinja::Variables& more,
                          const ChatTemplateOptions& options) const;

  Text text;
  std::optional<Result<Text>> tool_use;  // an error only where it is used
  std::string file;
  SpecialTokens special_tokens;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::Parse(ChatTemplateSource source) {
  auto program = std::make_unique<Program>();
  TRY_ASSIGN(program->text, Program::Parse(std::move(source.text), source.file));
  if (source.tool_use)
    program->tool_use = Program::Parse(std::move(*source.tool_use), source.file + ": tool_use");
  program->file = std::move(source.file);
  program->special_tokens = std::move(source.special_tokens);
  return ChatTemplate(std::move(program));
}

Result<std::string> ChatTemplate::Program::Run(const Value& given, const jinja::Variables& more,
                                               const ChatTemplateOptions& options) const {
  // Those that transformers' apply_chat_template gives: tools and documents are none, and a special
  // token that there is not is undefined.
  jinja::Variables variables = {
      {"messages", Value()},
      {"tools", Value::NoneValue()},
      {"documents", Value::NoneValue()},
      {"add_generation_prompt", Value::Bool(options.add_generation_prompt)}};
  for (const auto& [name, text_of] : special_tokens)
    variables.emplace_back(name, Value::String(text_of));
  for (const auto& [name, value] : more) {
    std::erase_if(variables, [&](const auto& variable) { return variable.first == name; });
    variables.emplace_back(name, value);
  }
  const Text* chosen = &text;
  for (const auto& [name, value] : variables) {
    if (name != "tools" && name != "documents") continue;
    TRY(CheckObjects(name, value));
    if (name == "documents" || value.is_none() || !tool_use) continue;
    if (!*tool_use) return std::unexpected(tool_use->error());
    chosen = &**tool_use;
  }
  Value messages = given;
  if (options.openai_messages) {
    TRY_ASSIGN(messages, ReadOpenAiMessages(messages, !chosen->takes_parts));
  }
  TRY_ASSIGN(messages, ReadMessages(messages));
  MarkedMessages marked;
  if (!options.continue_final.empty()) {
    if (options.add_generation_prompt)
      return Err("continue_final_message: expected no add_generation_prompt with it");
    TRY_ASSIGN(marked, MarkEnd(messages, options.continue_final, chosen->source));
    messages = std::move(marked.messages);
  }
  std::ranges::find(variables, "messages", &jinja::Variables::value_type::first)->second =
      std::move(messages);
  TRY_ASSIGN(std::string rendered,
             jinja::Renderer(variables, file, options.date).Render(chosen->body));
  if (!options.continue_final.empty()) TRY(CutAtMark(marked.last, &rendered));
  return rendered;
}

Result<std::string> ChatTemplate::Render(std::span<const ChatMessage> messages,
                                         const ChatTemplateOptions& options) const {
  TRY_ASSIGN(const Value list, ToValue(messages));
  return program_->Run(list, {}, options);
}

Result<std::string> ChatTemplate::RenderJson(std::string_view messages, std::string_view variables,
                                             const ChatTemplateOptions& options) const {
  TRY_ASSIGN(const Value list, jinja::FromJson(messages, "messages"));
  TRY_ASSIGN(const Value more, jinja::FromJson(variables, "chat_template_kwargs"));
  if (more.mapping() == nullptr)
    return Err("chat_template_kwargs: expected an object, found {}", more.TypeName());
  jinja::Variables all;
  for (const auto& [name, value] : more.mapping()->entries) {
    if (*name.text() == "messages" || *name.text() == "add_generation_prompt")
      return Err("chat_template_kwargs: {}: expected an argument of its own", *name.text());
    all.emplace_back(*name.text(), value);
  }
  return program_->Run(list, all, options);
}

}  // namespace merope

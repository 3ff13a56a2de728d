// A checkpoint's chat template: makes the text of a prompt from messages, as transformers'
// apply_chat_template does. Immutable once parsed.
#pragma once

#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "template/template.h"

namespace merope {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant", …
  std::string content;  // plain text
};

struct ChatTemplateOptions {
  bool add_generation_prompt = true;
  // The field of the last message in which the text ends, so that the model continues this field:
  // "content", or one of the reasoning fields. Empty: no such field.
  std::string continue_final = {};
  // The messages are as in OpenAI's API. The messages are checked. Text parts are joined by line
  // breaks, unless the template iterates over the parts. The arguments of tool calls are parsed
  // from JSON.
  bool openai_messages = false;
  // The time that strftime_now gives. nullopt: the time of MEROPE_DATE, or the current time if
  // MEROPE_DATE is not set.
  std::optional<std::tm> date = {};
};

class ChatTemplate {
 public:
  static Result<ChatTemplate> Parse(ChatTemplateSource source);
  static Result<ChatTemplate> Parse(std::string_view text, const std::string& file) {
    return Parse({.text = std::string(text), .file = file, .tool_use = {}});
  }

  // The number of steps and the size of the output are bounded. raise_exception in the template
  // becomes an Error.
  Result<std::string> Render(std::span<const ChatMessage> messages,
                             const ChatTemplateOptions& options) const;
  // Renders messages that are given as JSON. messages: an array of objects; a template sees every
  // field that is not null. variables: an object with the template's other variables ("documents",
  // "tools", …).
  Result<std::string> RenderJson(std::string_view messages, std::string_view variables,
                                 const ChatTemplateOptions& options) const;

 private:
  struct Text {
    std::string source;
    jinja::Template parsed;
    bool takes_parts;  // the template iterates over the parts of a content
  };
  explicit ChatTemplate(Text text) : text_(std::move(text)) {}
  static Result<Text> ParseText(std::string source, std::string file);
  // The variable `tools` decides which text is used.
  Result<std::string> Run(const jinja::Value& given_messages,
                          const jinja::Variables& more_variables,
                          const ChatTemplateOptions& options) const;

  Text text_;
  std::optional<Result<Text>> tool_use_;  // Run reports a parse error only if it uses this text
  SpecialTokens special_tokens_;
};

// nullopt if the checkpoint has no chat template.
Result<std::optional<ChatTemplate>> LoadChatTemplate(const Checkpoint& checkpoint);

}  // namespace merope

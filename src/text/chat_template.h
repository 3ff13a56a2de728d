// Chat templates: a small Jinja, enough for the templates that checkpoints carry; what it lacks is
// refused by name. Immutable once parsed.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace merope {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant", …
  std::string content;  // plain text
};

// By the names that templates know them by ("bos_token"), as text; only those that there are.
using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

struct ChatTemplateSource {
  std::string text;
  std::string file;                     // names it in errors, which give the line
  std::optional<std::string> tool_use;  // another text, for conversations with tools
  SpecialTokens special_tokens = {};
};

struct ChatTemplateOptions {
  bool add_generation_prompt = true;
  // The field of the last message inside which the text ends, for the model to go on with it:
  // "content", or one of reasoning; empty: none.
  std::string continue_final = {};
  // Messages as OpenAI's API has them: checked, their parts of text joined by line breaks unless
  // the template goes through parts itself, the arguments of tool calls read from their JSON.
  bool openai_messages = false;
  // What strftime_now tells; without it MEROPE_DATE, or else the time it is.
  std::optional<std::tm> date = {};
};

class ChatTemplate {
 public:
  static Result<ChatTemplate> Parse(ChatTemplateSource source);
  static Result<ChatTemplate> Parse(std::string_view text, const std::string& file) {
    return Parse({.text = std::string(text), .file = file, .tool_use = {}});
  }

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Bounded in steps and in output; raise_exception in the template becomes an Error.
  Result<std::string> Render(std::span<const ChatMessage> messages,
                             const ChatTemplateOptions& options) const;
  // The same of JSON: messages an array of objects, of which a template sees all fields that are
  // not null; variables an object, of what else it is to know ("documents", "tools", …).
  Result<std::string> RenderJson(std::string_view messages, std::string_view variables,
                                 const ChatTemplateOptions& options) const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace merope

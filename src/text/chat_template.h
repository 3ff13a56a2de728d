// Chat templates: a small Jinja, enough for the templates that checkpoints carry; what it lacks is
// refused by name. Immutable once parsed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant", …
  std::string content;  // plain text
};

struct ChatTemplateOptions {
  bool add_generation_prompt = true;
  std::string bos_token, eos_token;  // as text; empty where the checkpoint has none
};

class ChatTemplate {
 public:
  // file names the source in errors, which give the line.
  static Result<ChatTemplate> Parse(std::string_view source, const std::string& file);

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Bounded in steps and in output; raise_exception in the template becomes an Error.
  Result<std::string> Render(std::span<const ChatMessage> messages,
                             const ChatTemplateOptions& options) const;
  // The same of JSON: messages an array of objects, which may hold more than role and content;
  // variables an object, of what else the template is to know ("documents", "tools", …).
  Result<std::string> RenderJson(std::string_view messages, std::string_view variables,
                                 const ChatTemplateOptions& options) const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace merope

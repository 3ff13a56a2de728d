#include "serve/openai_messages.h"

#include <utility>

#include "serve/fields.h"

namespace merope {
namespace {

Result<std::string> ReadContent(const Json& content, const std::string& where) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array())
    return Err("{}: expected a string or an array of parts, found {}", where, Describe(content));
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part = fmt::format("{}[{}]", where, i);
    const JsonFields fields(content[i], part);
    if (!content[i].is_object())
      return Err("{}: expected an object, found {}", part, Describe(content[i]));
    if (const Json* type = fields.Find("type"); type == nullptr || *type != "text")
      return Err("{}.type: expected \"text\", found {}", part, type ? Describe(*type) : "none");
    TRY_ASSIGN(std::optional<std::string> piece, fields.String("text"));
    if (!piece) return Err("{}.text: expected a string, found none", part);
    if (i > 0) text += '\n';
    text += *piece;
  }
  return text;
}

Result<ChatMessage> ReadMessage(const Json& message, const std::string& where) {
  if (!message.is_object())
    return Err("{}: expected an object, found {}", where, Describe(message));
  constexpr const char* kUnsupported[] = {"tool_calls", "function_call", "audio"};
  const JsonFields fields(message, where);
  TRY(RefuseUnsupported(fields, kUnsupported));
  TRY_ASSIGN(std::optional<std::string> role, fields.String("role"));
  if (!role) return Err("{}.role: expected a string, found none", where);
  ChatMessage read{.role = std::move(*role), .content = {}};
  if (const Json* content = fields.Find("content")) {
    TRY_ASSIGN(read.content, ReadContent(*content, where + ".content"));
  } else if (read.role != "assistant") {
    return Err("{}.content: expected a string, found none", where);
  }
  return read;
}

}  // namespace

Result<std::vector<ChatMessage>> ReadMessages(const JsonFields& body) {
  const Json* messages = body.Find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty())
    return Err("messages: expected an array of at least one, found {}",
               messages == nullptr ? "none" : Describe(*messages));
  std::vector<ChatMessage> read;
  for (const Json& message : *messages) {
    TRY_ASSIGN(ChatMessage one, ReadMessage(message, fmt::format("messages[{}]", read.size())));
    read.push_back(std::move(one));
  }
  return read;
}

Result<std::string> RenderMessages(const std::vector<ChatMessage>& messages,
                                   const ServedModel& model, bool add_generation_prompt,
                                   bool continue_final_message) {
  if (!model.chat_template)
    return Err("messages: expected a chat template in the checkpoint, found none");
  Result<std::string> rendered =
      model.chat_template->Render(messages, {.add_generation_prompt = add_generation_prompt,
                                             .bos_token = model.bos_token,
                                             .eos_token = model.eos_token});
  if (!rendered) return Within("messages", rendered.error());
  if (!continue_final_message) return rendered;
  // Templates may trim a content; what they put after it is cut off.
  std::string_view last = messages.back().content;
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = last.find_first_not_of(kSpace);
  if (begin == last.npos)
    return Err("continue_final_message: expected text in the last message, found none");
  size_t at = rendered->rfind(last);
  if (at == last.npos) {
    last = last.substr(begin, last.find_last_not_of(kSpace) + 1 - begin);
    at = rendered->rfind(last);
  }
  if (at == last.npos)
    return Err(
        "continue_final_message: expected the chat template to give the last message as it is, "
        "found it changed");
  rendered->resize(at + last.size());
  return rendered;
}

}  // namespace merope

#include "serve/openai_messages.h"

#include <utility>

namespace merope {
namespace {

// The text of a message's content. The template accepted the content, so all its parts are text.
std::string TextOf(const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (const Json& part : content) {
    if (!text.empty()) text += '\n';
    text += part.at("text").get<std::string>();
  }
  return text;
}

}  // namespace

Result<RenderedChat> RenderMessages(const JsonFields& body, std::string_view messages,
                                    const ServedModel& model, bool add_generation_prompt,
                                    bool continue_final_message) {
  const Json* given = body.Find("messages");
  if (given == nullptr || !given->is_array() || given->empty())
    return FieldErr("messages", "expected an array of at least one, found {}",
                    given == nullptr ? "none" : Describe(*given));
  if (!model.chat_template)
    return FieldErr("messages", "expected a chat template in the checkpoint, found none");
  Result<std::string> text =
      model.chat_template->RenderJson(messages, "{}",
                                      {.add_generation_prompt = add_generation_prompt,
                                       .continue_final = continue_final_message ? "content" : "",
                                       .openai_messages = true,
                                       .date = model.date});
  if (!text && text.error().field.empty()) return WithinField("messages", text.error());
  if (!text) return std::unexpected(text.error());
  RenderedChat chat{.text = std::move(*text), .answer_so_far = {}};
  const JsonFields last(given->back(), "messages");
  const Json* content = last.Find("content");
  if (content != nullptr && given->back().at("role") == "assistant")
    chat.answer_so_far = TextOf(*content);
  return chat;
}

}  // namespace merope

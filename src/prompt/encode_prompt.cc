#include "prompt/encode_prompt.h"

#include <algorithm>
#include <string>
#include <utility>

#include "prompt/rag_protocol.h"

namespace merope {

Result<std::vector<int32_t>> EncodePrompt(const Tokenizer& tokenizer, std::string_view text,
                                          bool add_prefix) {
  TRY_ASSIGN(std::vector<int32_t> ids, tokenizer.Encode(text));
  if (!add_prefix) return ids;
  const std::vector<int32_t> prefix = tokenizer.PrefixIds();
  const bool has_prefix = ids.size() >= prefix.size() &&
                          std::ranges::equal(prefix, std::span(ids).first(prefix.size()));
  if (!has_prefix) ids.insert(ids.begin(), prefix.begin(), prefix.end());
  return ids;
}

Result<std::vector<int32_t>> EncodeChat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                        std::span<const ChatMessage> messages,
                                        const ChatTemplateOptions& options) {
  TRY_ASSIGN(const std::string text, chat.Render(messages, options));
  return EncodePrompt(tokenizer, text, false);
}

Result<ChatFrame> EncodeChatFrame(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                  const ChatTemplateOptions& options) {
  // Letters only, so that no template changes them.
  constexpr std::string_view kContent = "MeropeStandsHereForTheContent";
  const ChatMessage message{"user", std::string(kContent)};
  TRY_ASSIGN(const std::string text, chat.Render(std::span(&message, 1), options));
  const size_t at = text.find(kContent);
  if (at == text.npos || text.find(kContent, at + 1) != text.npos)
    return Err("chat template: expected that it renders the content of a message once, found {}",
               at == text.npos ? "none" : "more");
  ChatFrame frame;
  TRY_ASSIGN(frame.before, EncodePrompt(tokenizer, text.substr(0, at), false));
  TRY_ASSIGN(frame.after, EncodePrompt(tokenizer, text.substr(at + kContent.size()), false));
  return frame;
}

Result<QuestionPrompt> EncodeQuestion(const Tokenizer& tokenizer,
                                      const std::optional<ChatTemplate>& chat,
                                      std::string_view question,
                                      const ChatTemplateOptions& options) {
  QuestionPrompt prompt;
  if (chat) {
    const ChatMessage message{"user", std::string(question)};
    prompt.form = "chat";
    TRY_ASSIGN(prompt.ids, EncodeChat(tokenizer, *chat, std::span(&message, 1), options));
  } else if (FindRagProtocol(tokenizer) == RagProtocol::kPleias) {
    prompt.form = "rag";
    TRY_ASSIGN(prompt.ids, EncodeRagPrompt(tokenizer, question, {}));
  } else {
    prompt.form = "plain";
    TRY_ASSIGN(prompt.ids, EncodePrompt(tokenizer, question));
  }
  return prompt;
}

}  // namespace merope

// Turns the text of a prompt into token ids. Pure functions. Any thread may call them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "prompt/chat_template.h"
#include "text/tokenizer.h"

namespace merope {

// Encodes a plain prompt. Special tokens in the text are parsed. If add_prefix, the tokenizer's own
// prefix (BOS) comes first, unless the text starts with this prefix.
Result<std::vector<int32_t>> EncodePrompt(const Tokenizer& tokenizer, std::string_view text,
                                          bool add_prefix = true);

// Encodes messages as the chat template renders them. The template gives its own prefix.
Result<std::vector<int32_t>> EncodeChat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                        std::span<const ChatMessage> messages,
                                        const ChatTemplateOptions& options);

// What the chat template puts around the content of one user's message. The caller encodes the
// content itself, so that the content cannot forge a special token.
struct ChatFrame {
  std::vector<int32_t> before, after;
};
Result<ChatFrame> EncodeChatFrame(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                  const ChatTemplateOptions& options);

// A question in the form that the model was trained on. If the model has a chat template, the
// template renders the question. Otherwise, if the vocabulary has the tokens of the RAG protocol,
// the question becomes a RAG prompt without sources. Otherwise the question is a plain prompt.
struct QuestionPrompt {
  std::string_view form;  // "chat", "rag" or "plain"
  std::vector<int32_t> ids;
};
Result<QuestionPrompt> EncodeQuestion(const Tokenizer& tokenizer,
                                      const std::optional<ChatTemplate>& chat,
                                      std::string_view question,
                                      const ChatTemplateOptions& options);

}  // namespace merope

// The messages of a chat: read from a request's body, and rendered as a prompt. Pure functions of
// any thread.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "serve/served_model.h"
#include "text/chat_template.h"

namespace merope {

// At least one. The text parts of a content are joined by line breaks; other parts are refused.
Result<std::vector<ChatMessage>> ReadMessages(const JsonFields& body);

// By the model's template; continue_final_message: up to the end of the last message's content,
// for the answer to go on with it.
Result<std::string> RenderMessages(const std::vector<ChatMessage>& messages,
                                   const ServedModel& model, bool add_generation_prompt,
                                   bool continue_final_message);

}  // namespace merope

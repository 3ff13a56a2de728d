// Renders the messages of a chat request as a prompt. Called by ParseOpenAiRequest. A pure
// function; any thread may call it.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "serve/served_model.h"

namespace merope {

struct RenderedChat {
  std::string text;
  std::string answer_so_far;  // content of the last message if its role is "assistant"
};

// Renders with the model's chat template. messages: the JSON text of the member "messages" in the
// request; the text keeps the order of the members, which templates can depend on.
// continue_final_message: the prompt ends with the content of the last message, so that the answer
// continues this content.
Result<RenderedChat> RenderMessages(const JsonFields& body, std::string_view messages,
                                    const ServedModel& model, bool add_generation_prompt,
                                    bool continue_final_message);

}  // namespace merope

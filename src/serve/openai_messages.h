// The messages of a chat, rendered as a prompt. Pure functions of any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "serve/served_model.h"

namespace merope {

struct RenderedChat {
  std::string text;
  std::string answer_so_far;  // the last message's, where it is the assistant's
};

// By the model's template; messages are the request's own text of that member, in which the order
// of members counts. continue_final_message: up to the end of the last message's content, for the
// answer to go on with it.
Result<RenderedChat> RenderMessages(const JsonFields& body, std::string_view messages,
                                    const ServedModel& model, bool add_generation_prompt,
                                    bool continue_final_message);

}  // namespace merope

#include "serve/served_model.h"

#include <utility>

namespace merope {

Result<ServedModel> MakeServedModel(const LoadedModel& loaded, std::vector<std::string> names) {
  const Checkpoint& checkpoint = loaded.checkpoint;
  TRY_ASSIGN(std::optional<ChatTemplate> chat_template, LoadChatTemplate(checkpoint));
  return ServedModel{.name = names.empty() ? checkpoint.path() : names.front(),
                     .names = std::move(names),
                     .tokenizer = loaded.tokenizer,
                     .chat_template = std::move(chat_template),
                     .defaults = loaded.config().generation,
                     .max_model_len = loaded.model().max_model_len()};
}

}  // namespace merope

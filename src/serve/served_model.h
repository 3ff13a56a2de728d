// What answering requests takes of a model, besides the engine. Immutable once made: any thread.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/config.h"
#include "engine/load.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace merope {

struct ServedModel {
  std::string name;                // in answers
  std::vector<std::string> names;  // that a request may give; empty: any
  const Tokenizer& tokenizer;      // outlives this
  std::optional<ChatTemplate> chat_template;
  std::optional<std::tm> date = {};  // that templates are told; without it, see ChatTemplateOptions
  GenerationDefaults defaults;
  int64_t max_model_len = 0;
};

// The loaded model must outlive it. Without names it is called by the checkpoint's path, and any
// name will do.
Result<ServedModel> MakeServedModel(const LoadedModel& loaded, std::vector<std::string> names);

}  // namespace merope

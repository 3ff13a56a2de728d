// The data of a model that answering requests needs, in addition to the engine. Made by
// `merope batch`, read by the parsers and by OpenAiAnswer. Not changed while requests run; any
// thread may read it.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/config.h"
#include "engine/load.h"
#include "prompt/chat_template.h"
#include "text/tokenizer.h"

namespace merope {

struct ServedModel {
  std::string name;                // the model's name in answers
  std::vector<std::string> names;  // names that a request may give; empty: any name
  const Tokenizer& tokenizer;      // must outlive the ServedModel
  std::optional<ChatTemplate> chat_template;
  std::optional<std::tm> date = {};  // date for chat templates; nullopt: see ChatTemplateOptions
  GenerationDefaults defaults;
  int64_t max_model_len = 0;
};

// loaded must outlive the result. If names is empty, the name in answers is the checkpoint's path,
// and a request may give any name.
Result<ServedModel> MakeServedModel(const LoadedModel& loaded, std::vector<std::string> names);

}  // namespace merope

// The options of the commands that load a model, and the messages about the loaded model. Called by
// the commands, on the main thread.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/load.h"

namespace merope {

struct ModelOptions {
  LoadOptions load;
  EngineOptions engine;
  std::string dtype = "auto", weights = "auto", kv = "auto";
  bool many = false;  // the command runs many requests at once
};

// Add --threads, --max-model-len and --kv-cache-memory. meaning: the command's addition to the help
// text of --kv-cache-memory.
CLI::Option* AddThreads(CLI::App& command, int* threads);
CLI::Option* AddMaxModelLen(CLI::App& command, int64_t* tokens);
CLI::Option* AddKvCacheMemory(CLI::App& command, std::optional<uint64_t>* bytes,
                              const std::string& meaning);

// Adds --max-model-len and --kv-cache-memory to a command that chooses its prompts itself.
void AddContextLimit(CLI::App& command, ContextLimit* limit);

// Adds MODEL and the options for loading the model.
void AddModelOptions(CLI::App& command, ModelOptions* options);
// Adds the options without MODEL.
void AddLoadOptions(CLI::App& command, ModelOptions* options);
// Adds "[MODEL] NAME": one text is the value, two are the model and the value.
CLI::Option* AddOptionalModel(CLI::App& command, std::string* model, const std::string& name,
                              std::string* value, const std::string& help);
// Adds the options for running many requests together.
void AddEngineOptions(CLI::App& command, ModelOptions* options);
// Adds --date to a command that renders chats.
void AddDateOption(CLI::App& command, std::optional<std::tm>* date);

// A transform of --dtype: replaces the old value "stored" by "native", and tells the user on
// standard error.
CLI::Validator OldDtype();

// Loads the model. Writes to standard error: the model, its weights and precision, the compiled
// plan, and the number of tokens that its KV cache can hold.
Result<LoadedModel> LoadAndSay(ModelOptions options);

// Writes a line for people to standard error.
void SayLine(const std::string& line);
template <class... Args>
void Say(fmt::format_string<Args...> format, Args&&... args) {
  SayLine(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace merope

// The options of a command that loads a model to generate with it, and what is said of the model
// once it is there.
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
  bool many = false;  // requests at once
};

// --threads of a command that computes, --max-model-len, and --kv-cache-memory, whose meaning the
// command says.
CLI::Option* AddThreads(CLI::App& command, int* threads);
CLI::Option* AddMaxModelLen(CLI::App& command, int64_t* tokens);
CLI::Option* AddKvCacheMemory(CLI::App& command, std::optional<uint64_t>* bytes,
                              const std::string& meaning);

// The two last of a command that chooses its prompts itself.
void AddContextLimit(CLI::App& command, ContextLimit* limit);

// MODEL, and how it is loaded.
void AddModelOptions(CLI::App& command, ModelOptions* options);
// Of a command that runs many requests: how many together.
void AddEngineOptions(CLI::App& command, ModelOptions* options);
// Of a command that renders chats: --date.
void AddDateOption(CLI::App& command, std::optional<std::tm>* date);

// Loads it, and says on standard error what was loaded, how it is kept and compiled, and how many
// tokens its KV cache takes.
Result<LoadedModel> LoadAndSay(ModelOptions options);

// A line for people on standard error.
void SayLine(const std::string& line);
template <class... Args>
void Say(fmt::format_string<Args...> format, Args&&... args) {
  SayLine(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace merope

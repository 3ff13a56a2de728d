// The argument MODEL: a path, or the name of a model on a hub. Called by the commands, on the main
// thread.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "base/error.h"
#include "hub/download.h"

namespace merope {

// Adds MODEL. The command calls FindModel before it opens the model.
CLI::Option* AddModel(CLI::App& command, std::string* model);

// The path of the model: MODEL itself if it exists, else the path in the cache, after fetching the
// model if need be. Says what is fetched, and shows a bar.
Result<std::string> FindModel(const std::string& model);

// A line on standard error, and a bar with the speed.
class PullProgress {
 public:
  PullProgress();
  ~PullProgress();
  PullProgress(const PullProgress&) = delete;
  PullProgress& operator=(const PullProgress&) = delete;
  const PullEvents& events() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace merope

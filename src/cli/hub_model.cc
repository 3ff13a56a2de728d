#include "cli/hub_model.h"

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <optional>

#include "base/progress.h"
#include "base/stopwatch.h"
#include "cli/model_options.h"
#include "hub/pull.h"

namespace merope {

struct PullProgress::State {
  std::mutex mutex;  // lines come from several threads
  std::optional<ProgressBar> bar;
  Stopwatch watch;
  PullEvents events;
};

PullProgress::PullProgress() : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.events.say = [&state](const std::string& line) {
    const std::lock_guard lock(state.mutex);
    state.bar.reset();  // wipes the bar's line
    SayLine(line);
  };
  state.events.progress = [&state](int64_t done, int64_t total, int64_t fetched) {
    const std::lock_guard lock(state.mutex);
    if (!state.bar) state.bar.emplace("fetching");
    state.bar->Update(done, total,
                      fmt::format("{:.1f} of {:.1f} MB, {:.1f} MB/s",
                                  static_cast<double>(done) / 1e6, static_cast<double>(total) / 1e6,
                                  static_cast<double>(fetched) / 1e6 / state.watch.Seconds()));
  };
}

PullProgress::~PullProgress() = default;

const PullEvents& PullProgress::events() const { return state_->events; }

CLI::Option* AddModel(CLI::App& command, std::string* model) {
  return command
      .add_option("MODEL", *model,
                  "A Hugging Face directory, a .gguf file, or ORG/NAME[@REVISION], a model on "
                  "Hugging Face, which is fetched if the cache does not have it")
      ->required();
}

Result<std::string> FindModel(const std::string& model) {
  const PullProgress progress;
  return LocalModel(model, SettingsOfEnvironment(), progress.events());
}

}  // namespace merope

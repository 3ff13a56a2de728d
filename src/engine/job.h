// The data that the engine keeps of a request, and the functions that both parts of the engine use.
// engine_submit.cc has the functions that other threads call. engine.cc has the functions of the
// engine's thread.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/generation_setup.h"

namespace merope {

struct Engine::Job {
  RequestId id = 0;
  GenerationSetup setup;
  EventSink sink;
  std::vector<std::unique_ptr<Generation>> generations = {};  // begun and not ended
  const Generation* newest = nullptr;                         // the last begun; null after its end
  int64_t begun = 0, ended = 0;                               // numbers of sequences
  bool compiling = false;                                     // the job waits for its grammar
  double timeout = 0;                                         // seconds; 0: no timeout
  RequestTimes times = {};
};

// Seconds of the steady clock, as in RequestTimes.
inline double EngineSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <typename T>
void Engine::Hand(std::vector<T>* to, std::type_identity_t<T> what) {
  {
    const std::lock_guard lock(mutex_);
    to->push_back(std::move(what));
  }
  wake_.notify_one();
}

}  // namespace merope

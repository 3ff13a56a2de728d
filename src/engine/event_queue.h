// Events on their way from the engine's thread to a reader's: of one request, or of many, each with
// the reader's own number for it. Owned by the reader; its sinks may outlive it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace merope {

struct TaggedEvent {
  size_t tag = 0;
  Event event;
};

class EventQueue {
 public:
  // For Engine::Submit: what comes of that request is found here under this tag.
  EventSink Sink(size_t tag) {
    return [shared = shared_, tag](Event event) {
      {
        const std::lock_guard lock(shared->mutex);
        shared->events.push_back({tag, std::move(event)});
      }
      shared->filled.notify_one();
    };
  }

  // All that has come, in order; waits for the first, up to the timeout, and is empty after it.
  std::vector<TaggedEvent> Take(std::chrono::milliseconds timeout) {
    std::unique_lock lock(shared_->mutex);
    shared_->filled.wait_for(lock, timeout, [this] { return !shared_->events.empty(); });
    return std::exchange(shared_->events, {});
  }

 private:
  struct Shared {
    std::mutex mutex;
    std::condition_variable filled;
    std::vector<TaggedEvent> events;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace merope

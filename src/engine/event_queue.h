// Carries events from the engine's thread to a reader's thread. One queue takes the events of one
// request or of many requests. Each event has the tag that the reader chose for its request. The
// reader owns the queue. The queue's sinks may outlive the queue.
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
  // The sink for Engine::Submit. All events of that request arrive here with this tag.
  EventSink Sink(size_t tag) {
    return [shared = shared_, tag](Event event) {
      {
        const std::lock_guard lock(shared->mutex);
        shared->events.push_back({tag, std::move(event)});
      }
      shared->filled.notify_one();
    };
  }

  // Returns all events that have arrived, in order. Waits for the first event, but no longer than
  // the timeout. Returns no events after a timeout.
  std::vector<TaggedEvent> WaitForEvents(std::chrono::milliseconds timeout) {
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

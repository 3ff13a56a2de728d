// The events of many requests for one Python reader, and a file descriptor that says when there are
// some: Python waits on that in poll() or in its event loop, so that signals and other tasks run
// meanwhile and the engine's thread never needs the GIL. One thread reads.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "engine/event_queue.h"

namespace merope::python {

class Events {
 public:
  Events();

  EventSink Sink(size_t tag);
  int fileno() const;  // readable when Take gives something
  // All that has come, in order; does not wait.
  std::vector<TaggedEvent> Take();

 private:
  // A pipe with a byte in it while there are events; held by the sinks, too.
  class Bell {
   public:
    Bell();
    ~Bell();
    Bell(const Bell&) = delete;
    Bell& operator=(const Bell&) = delete;
    void Ring();
    void Still();
    int fileno() const { return read_; }

   private:
    int read_ = -1, write_ = -1;
    std::atomic<bool> rung_{false};
  };

  EventQueue queue_;
  std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
};

}  // namespace merope::python

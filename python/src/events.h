// Owns the events of many requests for one Python reader, and a file descriptor that is readable
// while there are events. Python waits for the descriptor in poll() or in its event loop. Signals
// and other tasks therefore run during the wait, and the engine's thread never needs the GIL. The
// engine's thread calls the sinks. One thread reads.
#pragma once

#include <memory>
#include <vector>

#include "bell.h"
#include "engine/event_queue.h"

namespace merope::python {

class Events {
 public:
  Events();

  EventSink Sink(size_t tag);
  int fileno() const;  // readable when Take returns events
  // Returns all events that have arrived, in order, without waiting.
  std::vector<TaggedEvent> Take();

 private:
  EventQueue queue_;
  std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();  // the sinks share it
};

}  // namespace merope::python

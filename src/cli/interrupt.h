// Ctrl-C. Within the life of an Interrupt the first one only raises a flag, so that what was begun
// can be brought to an end; a second one, and any outside, ends the process with 130 at once. On
// the main thread.
#pragma once

#include <atomic>

namespace merope {

// From now on SIGINT ends the process with 130, also where its parent looks at the exit code only.
void HandleInterrupts();

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  const std::atomic<bool>& raised() const;
};

}  // namespace merope

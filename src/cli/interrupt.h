// Handles Ctrl-C (SIGINT). While an Interrupt exists, the first Ctrl-C only sets a flag, so that
// the command can end in an orderly way. A second Ctrl-C, or a Ctrl-C without an Interrupt, ends
// the process at once with exit code 130. Used by Main, run and batch, on the main thread.
#pragma once

#include <atomic>

namespace merope {

// Installs the handler: after this call, SIGINT ends the process with exit code 130. A parent that
// only reads exit codes then also sees the interrupt.
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

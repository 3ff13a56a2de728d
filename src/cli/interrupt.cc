#include "cli/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "cli/cli.h"

namespace merope {
namespace {

// Signal handlers can reach nothing but globals.
std::atomic<bool> deferred{false}, interrupted{false};

void OnInterrupt(int) {
  if (!deferred || interrupted.exchange(true)) _exit(kExitInterrupted);
}

}  // namespace

void HandleInterrupts() {
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

Interrupt::Interrupt() { deferred = true; }
Interrupt::~Interrupt() { deferred = false; }
const std::atomic<bool>& Interrupt::raised() const { return interrupted; }

}  // namespace merope

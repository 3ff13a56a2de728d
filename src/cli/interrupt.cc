#include "cli/interrupt.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "cli/cli.h"

namespace merope {
namespace {

// Signal handlers can reach nothing but globals.
std::atomic<bool> deferred{false}, interrupted{false};

bool terminal = false;

void OnInterrupt(int) {
  const int saved = errno;
  // Behind the ^C that the terminal shows, or a progress bar: the next prompt has its own line.
  if (terminal && write(STDERR_FILENO, "\n", 1) < 0) _exit(kExitInterrupted);
  errno = saved;
  if (!deferred || interrupted.exchange(true)) _exit(kExitInterrupted);
}

}  // namespace

void HandleInterrupts() {
  terminal = isatty(STDERR_FILENO) != 0;
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

Interrupt::Interrupt() { deferred = true; }
Interrupt::~Interrupt() { deferred = false; }
const std::atomic<bool>& Interrupt::raised() const { return interrupted; }

}  // namespace merope

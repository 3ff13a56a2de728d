#include "cli/interrupt.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "cli/cli.h"

namespace merope {
namespace {

// Globals, because a signal handler has no other access to data.
std::atomic<bool> deferred{false}, interrupted{false};

bool terminal = false;

void OnInterrupt(int) {
  const int saved = errno;
  // Ends the line with the terminal's ^C or a progress bar, so that the shell's prompt gets a line
  // of its own.
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

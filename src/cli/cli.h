// The command line. main() calls Main, which parses the command line and runs one command on the
// main thread.
//
// Exit codes: 0 done (and checks passed); 1 a check failed; 2 a verdict is inconclusive; 3 an error
// (the message gives the reason); 64 the command line was wrong; 130 interrupted.
#pragma once

#include "verify/verdict.h"

namespace merope {

inline constexpr int kExitCheckFailed = 1, kExitInconclusive = 2, kExitError = 3, kExitUsage = 64,
                     kExitInterrupted = 130;

// The exit code of verify and report.
constexpr int ExitCode(Verdict verdict) {
  return verdict == Verdict::kPass   ? 0
         : verdict == Verdict::kFail ? kExitCheckFailed
                                     : kExitInconclusive;
}

int Main(int argc, char** argv);

}  // namespace merope

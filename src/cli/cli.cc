#include "cli/cli.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <system_error>

#include "backend/cpu/targets.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

namespace merope {
namespace {

// MEROPE_TARGET pins the instruction set, so that results are the same bits on machines with
// others.
Result<int> RunPinned(const Action& chosen) {
  if (const char* target = std::getenv("MEROPE_TARGET"))
    if (const Status pinned = cpu::ChooseTarget(target); !pinned)
      return Within("MEROPE_TARGET", pinned.error());
  return chosen();
}

}  // namespace

int Main(int argc, char** argv) {
  // A closed pipe is seen as a failed write, and ends the program quietly.
  std::signal(SIGPIPE, SIG_IGN);
  HandleInterrupts();
  CLI::App app(
      "merope runs small language models on this machine and proves that it runs them right.",
      "merope");
  app.set_version_flag("--version", "merope " MEROPE_VERSION);
  app.require_subcommand(1);
  Action chosen;
  AddRun(app, &chosen);
  AddBatch(app, &chosen);
  AddInspect(app, &chosen);
  AddVerify(app, &chosen);
  AddBench(app, &chosen);
  AddReport(app, &chosen);
  AddTokenize(app, &chosen);
  AddQuantize(app, &chosen);
  AddSynth(app, &chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  try {
    const Result<int> code = RunPinned(chosen);
    if (code) return *code;
    std::fprintf(stderr, "merope: error: %s\n", code.error().message.c_str());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "merope: error: out of memory\n");
  } catch (const std::system_error& error) {
    std::fprintf(stderr, "merope: error: no thread could be made: %s\n", error.what());
  }
  return kExitError;
}

}  // namespace merope

#include "cli/cli.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <system_error>

#include "backend/cpu_targets.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/version.h"

namespace merope {
namespace {

// The variable MEROPE_TARGET selects the instruction set of the kernels, so that results are
// bit-identical on machines that support different instruction sets.
Result<int> RunPinned(const Action& chosen) {
  if (const char* target = std::getenv("MEROPE_TARGET"))
    if (const Status pinned = cpu::ChooseTarget(target); !pinned)
      return Within("MEROPE_TARGET", pinned.error());
  return chosen();
}

}  // namespace

int Main(int argc, char** argv) {
  // Ignores SIGPIPE, so that a write to a closed pipe fails. WriteOutput then returns false, and
  // the command ends without a message.
  std::signal(SIGPIPE, SIG_IGN);
  HandleInterrupts();
  CLI::App app(
      "merope runs small language models on this machine and proves that it runs them right.",
      "merope");
  app.set_version_flag("--version", VersionLine);
  app.require_subcommand(1);
  Action chosen;
  AddRun(app, &chosen);
  AddAsk(app, &chosen);
  AddBatch(app, &chosen);
  AddPull(app, &chosen);
  AddInspect(app, &chosen);
  AddVerify(app, &chosen);
  AddReplay(app, &chosen);
  AddBench(app, &chosen);
  AddRagEval(app, &chosen);
  AddReport(app, &chosen);
  AddTokenize(app, &chosen);
  AddQuantize(app, &chosen);
  AddSynth(app, &chosen);
  AddDoctor(app, &chosen);
  AddCompletion(app, &chosen);
  RefuseBadNumbers(app);
  try {
    app.parse(argc, argv);
    const Result<int> code = RunPinned(chosen);
    if (code) return *code;
    std::fprintf(stderr, "merope: error: %s\n", code.error().message.c_str());
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::fprintf(stderr, "merope: error: %s\nRun %s --help for more information.\n",
                 Explain(app, error).c_str(), CommandPath(ChosenCommand(app)).c_str());
    return kExitUsage;
  } catch (const std::bad_alloc&) {
    std::fputs("merope: error: out of memory\n", stderr);
  } catch (const std::system_error& error) {
    const bool threads = error.code() == std::errc::resource_unavailable_try_again;
    std::fprintf(stderr, "merope: error: %s%s\n", threads ? "a thread cannot be made: " : "",
                 error.code().message().c_str());
  }
  return kExitError;
}

}  // namespace merope

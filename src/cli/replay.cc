// merope replay: computes a verification again from the directory of its evidence.
#include "verify/replay.h"

#include <memory>
#include <string>

#include "base/json.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/verify_table.h"
#include "verify/result_json.h"

namespace merope {
namespace {

struct ReplayArguments {
  std::string directory;
  int threads = 0;
  bool json = false;
};

Result<int> RunReplay(const ReplayArguments& arguments) {
  PhaseBars bars;
  TRY_ASSIGN(const VerifyResult result,
             Replay(arguments.directory, arguments.threads,
                    [&bars](std::string_view phase, int64_t done, int64_t total) {
                      bars.Update(phase, done, total);
                    }));
  bars.Clear();
  const std::string note = fmt::format(
      "{}: no byte has changed, and every figure and the verdict follow from the kept rows\n",
      arguments.directory);
  TRY_ASSIGN(
      const bool written,
      WriteOutput(arguments.json ? DumpJson(ToJson(result), 2) + "\n"
                                 : VerifyTable(result, OutputIsTerminal() && WantColor()) + note));
  static_cast<void>(written);  // without a reader, the exit code still gives the verdict
  return ExitCode(result.verdict);
}

}  // namespace

void AddReplay(CLI::App& app, Action* chosen) {
  CLI::App* replay = app.add_subcommand(
      "replay", "Compute a verification again from its evidence (verify --bundle)");
  const auto a = std::make_shared<ReplayArguments>();
  AddText(*replay, "DIR", &a->directory, "The directory that verify --bundle wrote")->required();
  AddThreads(*replay, &a->threads);
  replay->add_flag("--json", a->json, "Print the result as one JSON object");
  replay->footer(
      "Needs neither the model nor the server. Checks every file against the manifest and names a\n"
      "byte that has changed, then computes every figure and the verdict from the kept rows and\n"
      "the server's raw answers, and compares them with the kept result.\n"
      "Exit code, as for verify: 0 PASS; 1 FAIL; 2 INCONCLUSIVE; 3 if something has changed.\n\n"
      "Example: merope replay evidence");
  replay->callback([a, chosen] { *chosen = [a] { return RunReplay(*a); }; });
}

}  // namespace merope

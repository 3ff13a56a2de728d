// One function per subcommand, in src/cli/<name>.cc. Main calls the functions on the main thread.
// Each function adds its subcommand and options to the app. If the user chose the subcommand, its
// callback sets *chosen to the action, and Main runs the action. The action returns the exit code.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>

#include "base/error.h"
#include "cli/cli.h"

namespace merope {

using Action = std::function<Result<int>()>;

void AddPull(CLI::App& app, Action* chosen);
void AddInspect(CLI::App& app, Action* chosen);
void AddSynth(CLI::App& app, Action* chosen);
void AddQuantize(CLI::App& app, Action* chosen);
void AddTokenize(CLI::App& app, Action* chosen);  // and detokenize
void AddRun(CLI::App& app, Action* chosen);
void AddAsk(CLI::App& app, Action* chosen);
void AddBatch(CLI::App& app, Action* chosen);
void AddVerify(CLI::App& app, Action* chosen);
void AddBench(CLI::App& app, Action* chosen);
void AddReplay(CLI::App& app, Action* chosen);
void AddRagEval(CLI::App& app, Action* chosen);
void AddReport(CLI::App& app, Action* chosen);
void AddDoctor(CLI::App& app, Action* chosen);
void AddCompletion(CLI::App& app, Action* chosen);

// The subcommands of bench.
void AddBenchLatency(CLI::App& bench, Action* chosen);
void AddBenchServe(CLI::App& bench, Action* chosen);
void AddBenchThroughput(CLI::App& bench, Action* chosen);
void AddBenchRoofline(CLI::App& bench, Action* chosen);

}  // namespace merope

#include "cli/commands.h"

namespace merope {

void AddBench(CLI::App& app, Action* chosen) {
  CLI::App* bench =
      app.add_subcommand("bench", "Measure the speed of models on this machine, and of servers");
  bench->require_subcommand(1);
  AddBenchLatency(*bench, chosen);
  AddBenchThroughput(*bench, chosen);
  AddBenchServe(*bench, chosen);
  AddBenchRoofline(*bench, chosen);
}

}  // namespace merope

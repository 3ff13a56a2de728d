#include "cli/commands.h"

namespace merope {

void AddReport(CLI::App& app, Action* chosen) {
  app.add_subcommand("report", "not built yet")->callback([chosen] {
    *chosen = [] { return Err("report: not built yet"); };
  });
}

}  // namespace merope

#include "cli/commands.h"

namespace merope {

void AddRun(CLI::App& app, Action* chosen) {
  app.add_subcommand("run", "not built yet")->callback([chosen] {
    *chosen = [] { return Err("run: not built yet"); };
  });
}

}  // namespace merope

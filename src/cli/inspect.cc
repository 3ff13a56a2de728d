#include "cli/commands.h"

namespace merope {

void AddInspect(CLI::App& app, Action* chosen) {
  app.add_subcommand("inspect", "not built yet")->callback([chosen] {
    *chosen = [] { return Err("inspect: not built yet"); };
  });
}

}  // namespace merope

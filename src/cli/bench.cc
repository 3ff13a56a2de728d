#include "cli/commands.h"

namespace merope {

void AddBench(CLI::App& app, Action* chosen) {
  app.add_subcommand("bench", "not built yet")->callback([chosen] {
    *chosen = [] { return Err("bench: not built yet"); };
  });
}

}  // namespace merope

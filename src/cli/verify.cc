#include "cli/commands.h"

namespace merope {

void AddVerify(CLI::App& app, Action* chosen) {
  app.add_subcommand("verify", "not built yet")->callback([chosen] {
    *chosen = [] { return Err("verify: not built yet"); };
  });
}

}  // namespace merope

#include "cli/commands.h"

namespace merope {

void AddTokenize(CLI::App& app, Action* chosen) {
  app.add_subcommand("tokenize", "not built yet")->callback([chosen] {
    *chosen = [] { return Err("tokenize: not built yet"); };
  });
}

}  // namespace merope

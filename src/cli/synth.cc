#include "cli/commands.h"

namespace merope {

void AddSynth(CLI::App& app, Action* chosen) {
  app.add_subcommand("synth", "not built yet")->callback([chosen] {
    *chosen = [] { return Err("synth: not built yet"); };
  });
}

}  // namespace merope

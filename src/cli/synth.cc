// merope synth: writes a checkpoint of random weights in the exact shape of a model.
#include "checkpoint/synth.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "base/mapped_file.h"
#include "base/progress.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace merope {
namespace {

struct SynthArguments {
  std::string directory, like, dtype;
  SynthOptions options;
  bool json = false;
};

Result<ModelConfig> ConfigLike(const std::string& like) {
  std::error_code error;
  if (std::filesystem::is_directory(like, error)) return ConfigLike(like + "/config.json");
  if (!std::filesystem::exists(like, error) && !like.ends_with(".json")) return KnownConfig(like);
  TRY_ASSIGN(const std::string text, ReadFile(like));
  return ParseConfig(text, like);
}

Result<int> Synth(SynthArguments arguments) {
  const auto config = ConfigLike(arguments.like);
  if (!config) return Within("--like", config.error());
  SynthOptions& options = arguments.options;
  options.dtype = arguments.dtype == "f32"    ? DType::kF32
                  : arguments.dtype == "f16"  ? DType::kF16
                  : arguments.dtype == "bf16" ? DType::kBF16
                                              : config->dtype;
  {
    ProgressBar bar("Writing random weights");
    TRY(Synthesize(arguments.directory, *config, options,
                   [&bar](int64_t done, int64_t total) { bar.Update(done, total); }));
  }
  if (arguments.json) {
    TRY(WriteOutput(JsonLine({{"directory", arguments.directory},
                              {"like", arguments.like},
                              {"dtype", DTypeName(options.dtype)},
                              {"seed", options.seed}})));
    return 0;
  }
  TRY(WriteOutput(fmt::format("{}: random weights in the shape of {}, {}, seed {}\n",
                              arguments.directory, arguments.like, DTypeName(options.dtype),
                              options.seed)));
  return 0;
}

}  // namespace

void AddSynth(CLI::App& app, Action* chosen) {
  CLI::App* synth = app.add_subcommand(
      "synth", "Write a checkpoint of random weights in the exact shape of a model");
  auto a = std::make_shared<SynthArguments>();
  synth->add_option("DIR", a->directory, "Directory to write")->required();
  synth
      ->add_option("--like", a->like,
                   "Shape of the model: pleias-rag-350m, or the path of a config.json (or of a "
                   "directory with a config.json)")
      ->required();
  synth
      ->add_option("--seed", a->options.seed,
                   "Seed of the weights; the same seed gives the same bytes")
      ->capture_default_str();
  synth
      ->add_option("--dtype", a->dtype,
                   "Type of the weights: f32, f16 or bf16 (default: the config's)")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  synth->add_flag("--force", a->options.force, "Write into a directory that is not empty");
  synth->add_flag("--json", a->json,
                  "Print one JSON object: the directory, the shape, the dtype and the seed");
  synth->footer(
      "The model generates no sensible text, but loads, runs and measures like the real model.\n\n"
      "Example: merope synth --like pleias-rag-350m /tmp/pleias");
  synth->callback([a, chosen] { *chosen = [a] { return Synth(*a); }; });
}

}  // namespace merope

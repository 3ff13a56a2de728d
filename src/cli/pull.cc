// merope pull: fetches a model from Hugging Face or ModelScope into the cache.
#include "hub/pull.h"

#include <fmt/format.h>

#include <memory>

#include "base/stopwatch.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/model_options.h"
#include "cli/output.h"

namespace merope {
namespace {

struct PullArguments {
  std::string model, hub = "hf";
  PullOptions options;
  bool json = false;
};

Result<int> RunPull(PullArguments arguments) {
  const Stopwatch watch;
  arguments.options.hub = arguments.hub == "hf" ? HubKind::kHuggingFace : HubKind::kModelScope;
  TRY_ASSIGN(const ModelName name, ParseModelName(arguments.model));
  PullResult result;
  {
    const PullProgress progress;
    TRY_ASSIGN(result, Pull(name, arguments.options, SettingsOfEnvironment(), progress.events()));
  }
  Say("files: {}, {:.1f} MB; fetched and checked {:.1f} MB in {:.1f} s", result.files,
      static_cast<double>(result.bytes) / 1e6, static_cast<double>(result.fetched_bytes) / 1e6,
      watch.Seconds());
  TRY(WriteOutput(arguments.json ? JsonLine({{"model", name.id},
                                             {"hub", arguments.hub},
                                             {"revision", result.revision},
                                             {"commit", result.commit},
                                             {"path", result.path},
                                             {"files", result.files},
                                             {"bytes", result.bytes},
                                             {"fetched_bytes", result.fetched_bytes},
                                             {"seconds", watch.Seconds()}})
                                 : result.path + "\n"));
  return 0;
}

}  // namespace

void AddPull(CLI::App& app, Action* chosen) {
  CLI::App* pull = app.add_subcommand(
      "pull", "Fetch a model from Hugging Face or ModelScope into the cache, and print its path");
  auto a = std::make_shared<PullArguments>();
  pull->add_option("MODEL", a->model, "ORG/NAME, or ORG/NAME@REVISION (a branch, tag or commit)")
      ->required()
      ->check(Parses(ParseModelName));
  pull->add_option("--from", a->hub, "hf (Hugging Face) or modelscope")
      ->check(CLI::IsMember({"hf", "modelscope"}))
      ->capture_default_str();
  AddTexts(*pull, "--file", &a->options.globs,
           "Fetch the files that match a pattern, such as '*Q8_0.gguf', instead of those that "
           "merope needs; may be repeated");
  pull->add_flag("--json", a->json,
                 "Print one JSON object: the path, the commit, the number of bytes");
  pull->footer(
      "The cache is Hugging Face's (HF_HOME, HF_HUB_CACHE), so transformers finds the model too.\n"
      "A pull that was interrupted goes on where it was. Sizes and hashes are checked.\n"
      "HF_TOKEN opens gated models. HF_ENDPOINT and MODELSCOPE_ENDPOINT name a mirror. "
      "docs/hub.md\n"
      "has the rest.\n\n"
      "Examples:\n"
      "  merope pull PleIAs/Pleias-RAG-350M\n"
      "  merope pull Qwen/Qwen3-0.6B-GGUF --file '*Q8_0.gguf' --from modelscope");
  pull->callback([a, chosen] { *chosen = [a] { return RunPull(*a); }; });
}

}  // namespace merope

// merope quantize: writes a checkpoint with integer weights, so that loading does not quantize.
#include "model/quantize.h"

#include <fmt/format.h>

#include <memory>

#include "base/progress.h"
#include "base/stopwatch.h"
#include "checkpoint/checkpoint.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/model_options.h"
#include "cli/output.h"

namespace merope {
namespace {

struct QuantizeArguments {
  std::string model, directory, dtype;
  QuantizeOptions options;
  bool json = false;
};

Result<int> RunQuantize(QuantizeArguments arguments) {
  arguments.options.precision = arguments.dtype == "int8" ? Precision::kInt8 : Precision::kInt4;
  TRY_ASSIGN(const std::string model, FindModel(arguments.model));
  const Stopwatch watch;
  TRY_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(model));
  QuantizeResult result;
  {
    ProgressBar bar("quantizing");
    TRY_ASSIGN(result, Quantize(checkpoint, arguments.directory, arguments.options,
                                [&bar](int64_t done, int64_t total) { bar.Update(done, total); }));
  }
  if (arguments.json) {
    TRY(WriteOutput(JsonLine({{"directory", arguments.directory},
                              {"dtype", arguments.dtype},
                              {"model", arguments.model},
                              {"bytes", result.bytes},
                              {"source_bytes", result.source_bytes},
                              {"seconds", watch.Seconds()}})));
    return 0;
  }
  TRY(WriteOutput(fmt::format("{}: {} of {}, {:.1f} MB of weights ({:.1f} MB before), {:.1f} s\n",
                              arguments.directory, arguments.dtype, arguments.model,
                              static_cast<double>(result.bytes) / 1e6,
                              static_cast<double>(result.source_bytes) / 1e6, watch.Seconds())));
  return 0;
}

}  // namespace

void AddQuantize(CLI::App& app, Action* chosen) {
  CLI::App* quantize = app.add_subcommand(
      "quantize",
      "Write a model with weights of 8 or 4 bits; the model loads without quantization");
  auto a = std::make_shared<QuantizeArguments>();
  AddModel(*quantize, &a->model);
  quantize->add_option("OUT", a->directory, "Directory to write")->required();
  quantize->add_option("--dtype", a->dtype, "Type of the weights: int8 or int4")
      ->required()
      ->check(CLI::IsMember({"int8", "int4"}));
  AddThreads(*quantize, &a->options.threads);
  quantize->add_flag("--json", a->json,
                     "Print one JSON object: the directory, the dtype and the size in bytes");
  quantize->add_flag("--force", a->options.force, "Replace an existing model in OUT");
  quantize->footer(
      "The integers are the same as those that --dtype makes at every load, so the results are\n"
      "bit-identical. `merope verify OUT --baseline MODEL` says how much precision the integers\n"
      "cost. docs/quantization.md says how the integers are made.\n\n"
      "Example: merope quantize Pleias-RAG-350M Pleias-RAG-350M-int8 --dtype int8");
  quantize->callback([a, chosen] { *chosen = [a] { return RunQuantize(*a); }; });
}

}  // namespace merope

// merope batch: runs the requests of a file offline.
#include "serve/batch.h"

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/progress.h"
#include "base/stopwatch.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "serve/served_model.h"

namespace merope {
namespace {

struct BatchArguments {
  ModelOptions model;
  std::string requests, results;
  std::vector<std::string> names;
  std::optional<std::tm> date;
  bool json = false;
};

double Ratio(int64_t part, double whole) {
  return whole > 0 ? static_cast<double>(part) / whole : 0;
}

std::string Summary(const BatchCounts& counts, double seconds) {
  std::string line =
      fmt::format("{} requests answered, {} of them with an error", counts.answered, counts.failed);
  if (counts.before > 0) line += fmt::format(", {} had been before", counts.before);
  return line + fmt::format(
                    "; {} tokens of prompts, {:.1f} % of them found in the prefix cache; {} tokens "
                    "generated in {:.2f} s, {:.1f} a second",
                    counts.prompt_tokens,
                    100 * Ratio(counts.cached_tokens, static_cast<double>(counts.prompt_tokens)),
                    counts.generated_tokens, seconds, Ratio(counts.generated_tokens, seconds));
}

std::string ToJson(const std::string& results, const BatchCounts& counts, double seconds) {
  return JsonLine({{"results", results},
                   {"answered", counts.answered},
                   {"failed", counts.failed},
                   {"before", counts.before},
                   {"prompt_tokens", counts.prompt_tokens},
                   {"cached_tokens", counts.cached_tokens},
                   {"generated_tokens", counts.generated_tokens},
                   {"seconds", seconds}});
}

Result<int> RunBatch(const BatchArguments& arguments) {
  TRY_ASSIGN(Batch batch, Batch::Open(arguments.requests, arguments.results));
  if (batch.dropped_bytes() > 0)
    Say("{}: the last result was not whole; its {} bytes are dropped", arguments.results,
        batch.dropped_bytes());
  TRY_ASSIGN(const LoadedModel loaded, LoadAndSay(arguments.model));
  TRY_ASSIGN(ServedModel model, MakeServedModel(loaded, arguments.names));
  model.date = arguments.date;
  EngineOptions engine_options = arguments.model.engine;
  engine_options.eos_token_id = EosTokenId(loaded);
  Engine engine(loaded.model(), loaded.tokenizer, engine_options);

  const Interrupt interrupt;
  const Stopwatch watch;
  BatchCounts counts;
  {
    ProgressBar bar("batch");
    const auto progress = [&](const BatchCounts& so_far) {
      bar.Update(
          so_far.bytes_done, batch.bytes(),
          fmt::format("{} requests, {} errors, {:.0f} tokens/s", so_far.answered + so_far.before,
                      so_far.failed, Ratio(so_far.generated_tokens, watch.Seconds())));
    };
    TRY_ASSIGN(counts, batch.Run(engine, model,
                                 {.max_num_seqs = arguments.model.engine.max_num_seqs,
                                  .interrupted = &interrupt.raised(),
                                  .progress = progress}));
  }
  TRY(WriteOutput(arguments.json ? ToJson(arguments.results, counts, watch.Seconds())
                                 : fmt::format("{}: {}\n", arguments.results,
                                               Summary(counts, watch.Seconds()))));
  if (!interrupt.raised()) return 0;
  Say("interrupted: the same command goes on with the rest");
  return kExitInterrupted;
}

}  // namespace

void AddBatch(CLI::App& app, Action* chosen) {
  CLI::App* batch =
      app.add_subcommand("batch", "Answer a file of requests in OpenAI's batch format");
  auto a = std::make_shared<BatchArguments>();
  AddModelOptions(*batch, &a->model);
  batch
      ->add_option("IN", a->requests,
                   "File of requests, one per line: {\"custom_id\": …, \"method\": \"POST\", "
                   "\"url\": \"/v1/completions\" or \"/v1/chat/completions\", \"body\": {…}}")
      ->required();
  batch
      ->add_option(
          "OUT", a->results,
          "File of results, one per line, in the order in which the requests end: {\"id\", "
          "\"custom_id\", \"response\": {\"status_code\", \"request_id\", \"body\"}, \"error\"}")
      ->required();
  AddEngineOptions(*batch, &a->model);
  AddDateOption(*batch, &a->date);
  AddTexts(*batch, "--served-model-name", &a->names,
           "Model name that a request may give; repeat the option for more names, and the results "
           "show the first name (default: any name is valid, and the results show MODEL)");
  batch->add_flag("--json", a->json, "Print the final counts as one JSON object");
  batch->footer(
      "A killed batch can continue: run the same command again. Requests whose results are in\n"
      "OUT do not run again. The result of a failed request is an error. If you remove the line\n"
      "of this result, the next run tries the request again. The exit code is 0 when all requests\n"
      "are answered, and 130 after Ctrl-C.\n\n"
      "Example: merope batch SmolLM2-135M-Instruct.gguf requests.jsonl results.jsonl");
  batch->callback([a, chosen] { *chosen = [a] { return RunBatch(*a); }; });
}

}  // namespace merope

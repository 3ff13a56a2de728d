// The data of a report whose subject is a server.
#include <algorithm>
#include <utility>

#include "base/stopwatch.h"
#include "engine/load.h"
#include "report/collect.h"
#include "report/environment.h"
#include "report/generation.h"
#include "report/workload.h"

namespace merope {
namespace {

// "Ascend910_9362", "vLLM 0.18.0" or "server".
std::string ShortName(const ServerReport& server, const ServerFacts& facts) {
  for (const auto& [name, value] : server.environment)
    if (name == "device") return value;
  return facts.software.empty() ? "server" : facts.software;
}

// Lengths that fit the context, as in the report of a model in this process.
EndpointLatencyOptions ServerGrid(int64_t context, int64_t vocab_size, bool quick) {
  const LatencyOptions own = ReportGrid(context, quick);
  return {.input_lengths = own.input_lengths,
          .output_lengths = own.output_lengths,
          .warmup = own.warmup,
          .repeats = own.repeats,
          .vocab_size = vocab_size};
}

// Each level has twice as many requests as run at the same time, but at least 4.
Status MeasureServingLevels(Endpoint& endpoint, int64_t context, bool quick,
                            const EndpointLatencyOptions& grid, ServerReport* server,
                            const std::function<void(int64_t, int64_t)>& progress) {
  constexpr int64_t kInput = 128, kOutput = 64, kQuickOutput = 32;
  constexpr int64_t kLevels[] = {1, 2, 4, 8, 16, 32}, kQuickLevels[] = {1, 4, 16};
  const std::span<const int64_t> levels = quick ? std::span<const int64_t>(kQuickLevels) : kLevels;
  server->serving_output = std::min(quick ? kQuickOutput : kOutput, context / 2);
  server->serving_input = std::min(kInput, context - server->serving_output);
  int64_t total = 0, done = 0;
  const auto requests = [](int64_t level) { return std::max<int64_t>(4, 2 * level); };
  for (const int64_t level : levels) total += requests(level);
  for (const int64_t level : levels) {
    ServeBenchOptions options;
    options.num_prompts = requests(level);
    options.input_length = server->serving_input;
    options.output_length = server->serving_output;
    options.max_concurrency = level;
    options.seed = static_cast<uint64_t>(level);  // no level gets prompts that the server has seen
    options.vocab_size = grid.vocab_size;
    options.progress = [&](int64_t n, int64_t) { progress(done + n, total); };
    TRY_ASSIGN(ServeBenchResult result, MeasureServing(endpoint, options));
    server->serving.push_back({level, std::move(result)});
    done += requests(level);
  }
  return {};
}

}  // namespace

Result<ReportData> CollectServer(const ReportOptions& options, ReportSubject subject,
                                 const ReportProgress& progress) {
  const Stopwatch watch;
  const auto phase = [&](std::string_view name) {
    return [&progress, name](int64_t done, int64_t total) {
      if (progress.update) progress.update(name, done, total);
    };
  };
  const bool quick = options.mode == VerifyMode::kQuick;
  ReportData data;
  ServerReport server;
  if (!subject.environment.empty()) {
    TRY_ASSIGN(server.environment, ReadEnvironment(subject.environment));
  }
  TRY_ASSIGN(const Checkpoint checkpoint, OpenLimited(options.model, options.limit));
  TRY(CheckVocabulary(checkpoint));
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
  TRY(ReadModel(checkpoint, tokenizer, options, &data));

  subject.target.stability = true;
  subject.target.texts = true;
  TRY_ASSIGN(TargetServers servers, OpenServers(subject.target));
  TRY_ASSIGN(ProbedModel model, DescribeModel(checkpoint, tokenizer));
  TRY_ASSIGN(EndpointTarget target,
             ProbeTarget(std::move(servers), subject.target, std::move(model), &tokenizer,
                         options.mode, phase("probing the endpoint")));
  target.say = subject.say;
  data.options.endpoint_url = target.endpoint.facts().url;
  if (target.eager) data.options.eager_url = target.eager->facts().url;
  data.options.target = target.numerics.precision;
  server.name = ShortName(server, target.endpoint.facts());
  TRY_ASSIGN(data.weights, CheckWeights(checkpoint, phase("weights"), options.threads));
  data.weight_rounding = WeightRoundingError(checkpoint);

  server.grid = ServerGrid(target.ask.context, checkpoint.config().vocab_size, quick);
  server.grid.progress = phase("performance");
  TRY_ASSIGN(server.latency,
             MeasureEndpointLatency(target.endpoint, target.eager ? &*target.eager : nullptr,
                                    server.grid));
  server.grid.progress = {};
  TRY(MeasureServingLevels(target.endpoint, target.ask.context, quick, server.grid, &server,
                           phase("serving")));
  {
    RuntimeOptions runtime_options;
    runtime_options.precision = Precision::kFp32;
    runtime_options.threads = options.threads;
    runtime_options.llama.max_model_len = std::min<int64_t>(target.ask.context, 1024);
    TRY_ASSIGN(const Runtime baseline, LoadRuntime(checkpoint, runtime_options));
    TRY_ASSIGN(data.generation,
               CompareGeneration({checkpoint, tokenizer, *baseline.model}, target.endpoint,
                                 target.ask.top_k, Questions(options.mode), quick ? 48 : 96,
                                 phase("generation")));
  }
  ErrorCollector errors(target.ask.top_k);
  VerifyOptions verify{.mode = options.mode,
                       .target = target.numerics.precision,
                       .target_rounding = target.numerics.rounding,
                       .threads = options.threads,
                       .against = "",
                       .endpoint = &target,
                       .prompts = options.prompts,
                       .listed_row = [&errors](std::span<const float> baseline,
                                               const ListedRow& row) { errors.Add(baseline, row); },
                       .progress = progress.update};
  TRY_ASSIGN(data.verify, Verify(checkpoint, tokenizer, verify));
  data.errors = errors.Finish();
  data.server = std::move(server);
  data.seconds = watch.Seconds();
  return data;
}

}  // namespace merope

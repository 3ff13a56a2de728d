// merope bench latency: measures the latency of one batch. Compares decode with the memory
// bandwidth, and prefill with the multiply-add peak.
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "bench/run.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/endpoint_options.h"
#include "cli/hub_model.h"
#include "cli/model_options.h"
#include "cli/table.h"

namespace merope {
namespace {

struct LatencyArguments {
  LatencyRequest request;
  EndpointOptions endpoint;
  std::string endpoint_eager;  // the URL of a second server
  bool json = false;
};

std::string Mib(int64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}
std::string Ms(double seconds) { return fmt::format("{:.2f}", seconds * 1e3); }
std::string Percent(const Distribution& share) { return fmt::format("{:.0f} %", share.p50 * 100); }

// The cells that identify a row of the grid.
std::vector<std::string> Row(const LatencyResult& result, const LatencyCase& c) {
  return {result.precision,
          c.mode,
          std::to_string(c.batch_size),
          std::to_string(c.context),
          std::to_string(c.input_length),
          std::to_string(c.output_length)};
}
std::vector<std::string> RowHeader() {
  return {"dtype", "mode", "batch", "context", "input", "output"};
}
constexpr size_t kLeftColumns = 2;

using Rows = std::vector<std::vector<std::string>>;
void Add(Rows* rows, std::vector<std::string> row, const std::vector<std::string>& cells) {
  row.insert(row.end(), cells.begin(), cells.end());
  rows->push_back(std::move(row));
}

void PrintLoads(const std::vector<LatencyOfDtype>& all) {
  Rows rows = {{"dtype", "load s", "weights", "read by a decode step", "peak memory"}};
  for (const auto& [load_seconds, r] : all)
    rows.push_back({r.precision, fmt::format("{:.2f}", load_seconds), Mib(r.weight_bytes),
                    Mib(r.step_weight_bytes), Mib(r.peak_resident_bytes)});
  PrintTable(rows, 1);
}

void PrintGrid(const std::vector<LatencyOfDtype>& all) {
  Rows rows;
  Add(&rows, RowHeader(),
      {"latency s", "tok/s", "latency/output ms", "TTFT ms", "TPOT ms", "prefill tok/s",
       "peak GOP/s", "of peak", "read GB/s", "of bandwidth", "eager / compiled"});
  for (const auto& [load_seconds, r] : all)
    for (const LatencyCase& c : r.cases)
      Add(&rows, Row(r, c),
          {fmt::format("{:.3f}", c.latency.p50), fmt::format("{:.1f}", c.throughput.p50),
           Ms(c.report_tpot.p50), Ms(c.ttft.p50), Ms(c.tpot.p50),
           fmt::format("{:.0f}", c.prefill_speed.p50), fmt::format("{:.0f}", c.peak.p50 / 1e9),
           Percent(c.peak_share), fmt::format("{:.1f}", c.bandwidth.p50 / 1e9),
           Percent(c.bandwidth_share), c.speedup ? ToText(*c.speedup) : ""});
  PrintTable(rows, kLeftColumns);
}

void PrintPercentiles(const std::vector<LatencyOfDtype>& all) {
  Rows rows;
  Add(&rows, RowHeader(), {"ms", "p10", "p50", "p90", "p99", "max"});
  for (const auto& [load_seconds, r] : all)
    for (const LatencyCase& c : r.cases) {
      const auto add = [&](const char* name, const Distribution& d) {
        Add(&rows, Row(r, c), {name, Ms(d.p10), Ms(d.p50), Ms(d.p90), Ms(d.p99), Ms(d.max)});
      };
      add("latency", c.latency);
      add("TTFT", c.ttft);
      add("TPOT", c.tpot);
      add("step", c.inter_token);
    }
  PrintTable(rows, kLeftColumns);
}

void PrintLatency(const LatencyRun& run) {
  const std::vector<LatencyOfDtype>& all = run.dtypes;
  const LatencyResult& first = all.front().result;
  fmt::print("{}\n  {}; opened in {:.2f} s\n\n", run.model, first.backend, run.open_seconds);
  PrintLoads(all);
  fmt::print("\n  medians of {} runs a row after {} of warm-up, seed {}\n", first.repeats,
             first.warmup, first.seed);
  PrintGrid(all);
  fmt::print("\n  percentiles over the runs (a step: over all decode steps)\n");
  PrintPercentiles(all);
  fmt::print(
      "\n  TPOT is (latency - TTFT) / (output - 1). Bandwidth and multiply-add peak are probed "
      "before and after each run.\n"
      "  Of peak: the prefill's operations over TTFT; of bandwidth: what a decode step must read "
      "(weights, keys and values)\n"
      "  over TPOT; each against the mean of the two probes. Eager and compiled runs take turns; "
      "the ratio of their\n"
      "  latencies is a geometric mean with its 95 % interval.\n");
}

void PrintEndpoint(const EndpointLatencyRun& run) {
  const ServerFacts& facts = run.server;
  fmt::print("{} at {}, model {}\n\n  medians of {} runs a row after {} of warm-up, seed {}\n",
             facts.software.empty() ? "server" : facts.software, facts.url, facts.model,
             run.grid.repeats, run.grid.warmup, run.grid.seed);
  Rows rows = {{"mode", "input", "output", "latency s", "tok/s", "latency/output ms", "TTFT ms",
                "TTFT p99", "TPOT ms", "TPOT p99", "eager / compiled"}};
  for (const EndpointLatencyCase& c : run.cases)
    rows.push_back({c.mode, std::to_string(c.input_length), std::to_string(c.output_length),
                    fmt::format("{:.3f}", c.latency.p50), fmt::format("{:.1f}", c.throughput.p50),
                    Ms(c.report_tpot.p50), Ms(c.ttft.p50), Ms(c.ttft.p99), Ms(c.tpot.p50),
                    Ms(c.tpot.p99), c.speedup ? ToText(*c.speedup) : ""});
  PrintTable(rows, 1);
}

// Runs the benchmark under bars, and prints its result.
template <class Run, class Print>
Status Show(bool json, int phases, const Run& run, const Print& print) {
  PhaseBars bars(phases);
  TRY_ASSIGN(const auto result, run([&bars](std::string_view phase, int64_t done, int64_t total) {
               bars.Update(phase, done, total);
             }));
  bars.Clear();
  if (json) {
    fmt::print("{}\n", DumpJson(ToJson(result), 2));
  } else {
    print(result);
  }
  return {};
}

Result<int> RunLatencyCommand(LatencyArguments arguments) {
  LatencyRequest& request = arguments.request;
  if (!request.model.empty()) {
    TRY_ASSIGN(request.model, FindModel(request.model));
  }
  if (arguments.endpoint.url.empty()) {
    TRY(Show(
        arguments.json, static_cast<int>(request.dtypes.size()),
        [&](const BenchProgress& progress) { return RunLatency(request, progress); },
        PrintLatency));
    return 0;
  }
  const LatencyOptions& grid = request.grid;
  const EndpointLatencyRequest endpoint{.model = request.model,
                                        .endpoint = arguments.endpoint,
                                        .eager_url = arguments.endpoint_eager,
                                        .grid = {.input_lengths = grid.input_lengths,
                                                 .output_lengths = grid.output_lengths,
                                                 .warmup = grid.warmup,
                                                 .repeats = grid.repeats,
                                                 .seed = grid.seed}};
  TRY(Show(
      arguments.json, 1,
      [&](const BenchProgress& progress) { return RunEndpointLatency(endpoint, progress); },
      PrintEndpoint));
  return 0;
}

}  // namespace

void AddBenchLatency(CLI::App& bench, Action* chosen) {
  CLI::App* command = bench.add_subcommand(
      "latency",
      "Measure latency, throughput, TTFT and TPOT of one batch (over a grid of dtypes, batch "
      "sizes, context depths and lengths), and compare the speeds with the memory bandwidth and "
      "the multiply-add peak");
  const auto arguments = std::make_shared<LatencyArguments>();
  LatencyRequest& request = arguments->request;
  LatencyOptions& latency = request.grid;
  CLI::Option* model = AddModel(*command, &request.model)->required(false);
  CLI::Option* endpoint = AddEndpoint(
      *command, &arguments->endpoint,
      "Measure this OpenAI-compatible server (http://host:port), one request at a time, in place "
      "of MODEL; with MODEL, the random prompts are of MODEL's vocabulary");
  AddEndpointEager(*command, &arguments->endpoint_eager,
                   "A second server that runs the same model without compilation; the runs "
                   "alternate")
      ->needs(endpoint);
  const auto list = [command](const char* name, auto& values, const char* help) {
    return command->add_option(name, values, help)->delimiter(',')->capture_default_str();
  };
  const auto number = [command](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help)->capture_default_str();
  };
  list("--input-len", latency.input_lengths, "Prompt lengths in tokens, comma-separated")
      ->check(Between(1, kMaxPositions));
  list("--output-len", latency.output_lengths, "Output lengths in tokens, comma-separated")
      ->check(Between(1, kMaxPositions));
  list("--batch-size", latency.batch_sizes, "Numbers of sequences per batch, comma-separated")
      ->check(Between(1, kMaxBatchSize));
  list("--context", latency.contexts,
       "Numbers of tokens in the KV cache before the prompt, comma-separated; not timed")
      ->check(Between(0, kMaxPositions));
  list("--dtype", request.dtypes,
       "Dtypes to measure, comma-separated: auto (the checkpoint's), native, fp32, bf16, int8 or "
       "int4; each dtype is loaded after the measurement of the previous dtype")
      ->check(Parses(ParsePrecision))
      ->transform(OldDtype());
  list("--mode", request.modes, "Run modes: eager, compiled, or both alternately");
  command->get_option("--mode")->check(CLI::IsMember({"eager", "compiled"}));
  command
      ->add_option("--weights", request.weights, "Storage of bf16 weights: plain, packed or auto")
      ->check(Parses(ParseWeightStorage))
      ->capture_default_str();
  command
      ->add_option("--kv-dtype", request.kv,
                   "Type of keys and values: int8, or auto (the type that belongs to the dtype)")
      ->check(Parses(ParseKvStorage))
      ->capture_default_str();
  number("--warmup", latency.warmup, "Warm-up runs per row, which do not count")->check(AtLeast(0));
  number("--repeats", latency.repeats, "Measured runs per row")->check(AtLeast(1));
  number("--seed", latency.seed, "Seed of the random prompts");
  number("--threads", latency.threads, "Number of threads (0: the usable cores)");
  command->get_option("--threads")->check(CLI::Range(0, 1024));
  AddMaxModelLen(*command, &request.max_model_len);
  AddKvCacheMemory(*command, &request.kv_cache_bytes, "; the whole grid must fit");
  command->add_flag("--json", arguments->json, "Print JSON");
  for (const char* own : {"--batch-size", "--context", "--dtype", "--mode", "--weights",
                          "--kv-dtype", "--threads", "--max-model-len", "--kv-cache-memory"})
    endpoint->excludes(command->get_option(own));
  command->footer(
      "Example: merope bench latency ./model --dtype bf16,fp32 --batch-size 1,8 --context 0,2048\n"
      "         merope bench latency --endpoint http://localhost:8000 --endpoint-eager "
      "http://localhost:8001");
  command->callback([arguments, chosen, model] {
    if (model->count() == 0 && arguments->endpoint.url.empty())
      throw CLI::RequiredError("MODEL or --endpoint");
    *chosen = [arguments] { return RunLatencyCommand(*arguments); };
  });
}

}  // namespace merope

// merope bench latency: how long one batch takes, and how near its decoding comes to the memory
// bandwidth.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/machine.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "bench/bench_json.h"
#include "bench/latency.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "engine/load.h"

namespace merope {
namespace {

struct BenchOptions {
  std::string model, dtype = "auto";
  bool json = false;
  LatencyOptions latency;
};

std::string Mib(int64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}
std::string Ms(double seconds) { return fmt::format("{:.2f}", seconds * 1e3); }

void Print(const LatencyResult& result, const Checkpoint& checkpoint, double open_seconds,
           double load_seconds) {
  fmt::print("{}\n", checkpoint.path());
  fmt::print("  back end      {}, {}\n", result.backend, result.precision);
  fmt::print("  weights       {} in memory, {} of them read by a decode step\n",
             Mib(result.weight_bytes), Mib(result.step_weight_bytes));
  fmt::print("  load          {:.2f} s (open {:.2f} s, read and pack {:.2f} s)\n",
             open_seconds + load_seconds, open_seconds, load_seconds);
  fmt::print("  peak memory   {}\n", Mib(result.peak_resident_bytes));
  fmt::print("  batch {}, {} runs a row after {} of warm-up, seed {}; medians\n\n",
             result.batch_size, result.repeats, result.warmup, result.seed);

  std::vector<std::vector<std::string>> rows = {{"input", "output", "latency s", "tok/s",
                                                 "latency/output ms", "TTFT ms", "TPOT ms",
                                                 "prefill tok/s", "read GB/s", "of bandwidth"}};
  for (const LatencyCase& c : result.cases) {
    rows.push_back({std::to_string(c.input_length), std::to_string(c.output_length),
                    fmt::format("{:.3f}", c.latency.p50), fmt::format("{:.1f}", c.throughput.p50),
                    Ms(c.report_tpot.p50), Ms(c.ttft.p50), Ms(c.tpot.p50),
                    fmt::format("{:.0f}", c.prefill_speed.p50),
                    fmt::format("{:.1f}", c.bandwidth.p50 / 1e9),
                    fmt::format("{:.0f} %", c.bandwidth_share.p50 * 100)});
  }
  PrintTable(rows);

  fmt::print("\n  percentiles over the runs (a step: over all decode steps)\n");
  rows = {{"input", "output", "ms", "p10", "p50", "p90", "p99", "max"}};
  for (const LatencyCase& c : result.cases) {
    const auto add = [&](const char* name, const Distribution& d) {
      rows.push_back({std::to_string(c.input_length), std::to_string(c.output_length), name,
                      Ms(d.p10), Ms(d.p50), Ms(d.p90), Ms(d.p99), Ms(d.max)});
    };
    add("latency", c.latency);
    add("TTFT", c.ttft);
    add("TPOT", c.tpot);
    add("step", c.inter_token);
  }
  PrintTable(rows);
  fmt::print(
      "\n  TPOT is (latency - TTFT) / (output - 1). Bandwidth is probed before and after each run; "
      "the share is what a\n"
      "  decode step must read (weights, keys and values) over the TPOT, against the mean of the "
      "two probes.\n");
}

Result<int> RunLatency(const BenchOptions& options) {
  const Stopwatch open_watch;
  TRY_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(options.model));
  const double open_seconds = open_watch.Seconds();
  LatencyOptions latency = options.latency;
  TRY(Validate(latency, checkpoint.config().max_position_embeddings));
  RuntimeOptions runtime_options;
  TRY_ASSIGN(runtime_options.precision, ParsePrecision(options.dtype));
  runtime_options.threads = latency.threads;
  runtime_options.llama.kv_tokens = KvTokens(latency);
  TRY_ASSIGN(const Runtime runtime, LoadRuntime(checkpoint, runtime_options));
  latency.threads = runtime.threads;
  LatencyResult result;
  {
    ProgressBar bar("measuring");
    latency.progress = [&bar](int64_t done, int64_t total) { bar.Update(done, total); };
    TRY_ASSIGN(result, MeasureLatency(*runtime.model, latency));
  }
  if (options.json) {
    Json json = ToJson(result);
    json["model"] = checkpoint.path();
    json["open_s"] = open_seconds;
    json["load_s"] = runtime.load_seconds;
    json["version"] = MEROPE_VERSION;
    fmt::print("{}\n", json.dump(2));
  } else {
    Print(result, checkpoint, open_seconds, runtime.load_seconds);
  }
  return 0;
}

}  // namespace

void AddBenchLatency(CLI::App& bench, Action* chosen) {
  CLI::App* command = bench.add_subcommand("latency",
                                           "Latency, throughput, TTFT and TPOT of one batch over "
                                           "a grid of lengths, beside the memory bandwidth");
  const auto options = std::make_shared<BenchOptions>();
  LatencyOptions& latency = options->latency;
  command->add_option("MODEL", options->model, "A Hugging Face directory, or a .gguf file")
      ->required();
  command
      ->add_option("--input-len", latency.input_lengths,
                   "Prompt lengths in tokens, comma-separated")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("--output-len", latency.output_lengths,
                   "Output lengths in tokens, comma-separated")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--batch-size", latency.batch_size, "Sequences that run together")
      ->capture_default_str();
  command
      ->add_option("--warmup", latency.warmup,
                   "Runs of each pair of lengths before those that count")
      ->capture_default_str();
  command->add_option("--repeats", latency.repeats, "Runs of each pair of lengths that count")
      ->capture_default_str();
  command->add_option("--seed", latency.seed, "Seed of the random prompts")->capture_default_str();
  command->add_option("--dtype", options->dtype, "auto (the checkpoint's), fp32 or bf16")
      ->capture_default_str();
  command->add_option("--threads", latency.threads, "Threads (0: the usable cores)")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Example: merope bench latency ./model --input-len 16,128 --output-len 50 --json");
  command->callback([options, chosen] { *chosen = [options] { return RunLatency(*options); }; });
}

}  // namespace merope

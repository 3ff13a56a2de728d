// merope bench serve: measures a server under load, as vllm bench serve does.
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "bench/run.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/endpoint_options.h"
#include "cli/hub_model.h"

namespace merope {
namespace {

struct ServeArguments {
  ServeRequest request;
  std::string rate = "inf";
  std::vector<std::string> goodput;
  bool json = false;
};

// The table of vllm bench serve: 50 columns.
constexpr int kWidth = 50;

void PrintValue(std::string_view name, const std::string& value) {
  fmt::print("{:<40} {:<10}\n", name, value);
}

void PrintTimes(std::string_view name, std::string_view title,
                const std::optional<Distribution>& times) {
  if (!times) return;
  fmt::print("{:-^{}}\n", title, kWidth);
  const auto row = [&](std::string_view which, double seconds) {
    PrintValue(fmt::format("{} {} (ms):", which, name), fmt::format("{:.2f}", seconds * 1e3));
  };
  row("Mean", times->mean);
  row("Median", times->p50);
  row("P90", times->p90);
  row("P99", times->p99);
}

void Print(const ServeBenchOptions& options, const ServeBenchResult& r) {
  const auto fixed = [](double value) { return fmt::format("{:.2f}", value); };
  fmt::print("{:=^{}}\n", " Serving Benchmark Result ", kWidth);
  PrintValue("Successful requests:", std::to_string(r.completed));
  PrintValue("Failed requests:", std::to_string(r.failed));
  if (options.max_concurrency > 0)
    PrintValue("Maximum request concurrency:", std::to_string(options.max_concurrency));
  if (std::isfinite(options.request_rate))
    PrintValue("Request rate configured (RPS):", fixed(options.request_rate));
  PrintValue("Benchmark duration (s):", fixed(r.duration));
  PrintValue("Total input tokens:", std::to_string(r.input_tokens));
  PrintValue("Total generated tokens:", std::to_string(r.output_tokens));
  PrintValue("Request throughput (req/s):", fixed(r.request_throughput));
  if (r.request_goodput) PrintValue("Request goodput (req/s):", fixed(*r.request_goodput));
  PrintValue("Output token throughput (tok/s):", fixed(r.output_throughput));
  PrintValue("Peak output token throughput (tok/s):", fixed(r.peak_output_throughput));
  PrintValue("Peak concurrent requests:", std::to_string(r.peak_concurrency));
  PrintValue("Total token throughput (tok/s):", fixed(r.total_throughput));
  PrintTimes("TTFT", "Time to First Token", r.ttft);
  PrintTimes("TPOT", "Time per Output Token (excl. 1st token)", r.tpot);
  PrintTimes("ITL", "Inter-token Latency", r.itl);
  PrintTimes("E2EL", "End-to-end Latency", r.e2el);
  fmt::print("{:=^{}}\n", "", kWidth);
  if (r.failed > 0) fmt::print("The first failure: {}\n", r.first_failure);
}

Result<int> RunServeCommand(ServeArguments arguments) {
  ServeRequest& request = arguments.request;
  TRY_ASSIGN(request.options.request_rate, ParseRate(arguments.rate));
  for (const std::string& limit : arguments.goodput)
    TRY(ParseGoodput(limit, &request.options.goodput));
  if (!request.model.empty()) {
    TRY_ASSIGN(request.model, FindModel(request.model));
  }
  PhaseBars bars(1);
  TRY_ASSIGN(const ServeRun run,
             RunServe(request, [&bars](std::string_view phase, int64_t done, int64_t total) {
               bars.Update(phase, done, total);
             }));
  bars.Clear();
  if (arguments.json) {
    fmt::print("{}\n", DumpJson(ToJson(run), 2));
  } else {
    Print(request.options, run.result);
  }
  if (run.result.completed == 0) return Err("{}", run.result.first_failure);
  return 0;
}

}  // namespace

void AddBenchServe(CLI::App& bench, Action* chosen) {
  CLI::App* command = bench.add_subcommand(
      "serve", "Measure an OpenAI-compatible server under load, as vllm bench serve does");
  const auto arguments = std::make_shared<ServeArguments>();
  ServeBenchOptions& options = arguments->request.options;
  AddModel(*command, &arguments->request.model)
      ->required(false)
      ->description("Model whose vocabulary the random prompts use (default: the ids below 1000)");
  AddEndpoint(*command, &arguments->request.endpoint, "The server (http://host:port)")->required();
  const auto number = [command](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help)->capture_default_str();
  };
  number("--num-prompts", options.num_prompts, "Number of requests")
      ->check(Between(1, kMaxServePrompts));
  number("--input-len", options.input_length, "Random tokens per prompt")
      ->check(Between(1, kMaxPositions));
  number("--output-len", options.output_length, "Tokens to generate per request; EOS ends none")
      ->check(Between(1, kMaxPositions));
  command
      ->add_option("--request-rate", arguments->rate,
                   "Requests per second, at random times; inf sends all at once")
      ->check(Parses(ParseRate))
      ->capture_default_str();
  number("--burstiness", options.burstiness,
         "Shape of the gamma distribution of the times between requests; 1 is a Poisson process, "
         "less is burstier")
      ->check(CLI::Range(kLeastBurstiness, kMostBurstiness));
  number("--max-concurrency", options.max_concurrency,
         "Maximum number of requests at the same time (0: no limit)")
      ->check(Between(0, kMaxServeThreads));
  number("--num-warmups", options.num_warmups, "Requests before the measurement")
      ->check(Between(0, kMaxServeWarmups));
  number("--temperature", options.temperature, "Sampling temperature")
      ->check(CLI::Range(0.0, kMaxTemperature));
  number("--seed", options.seed, "Seed of the random prompts and of the times");
  command
      ->add_option("--goodput", arguments->goodput,
                   "Limits in milliseconds that a good request keeps: ttft:MS, tpot:MS, e2el:MS")
      ->delimiter(',')
      ->check(CLI::Validator(
          [](const std::string& text) {
            Goodput goodput;
            const Status valid = ParseGoodput(text, &goodput);
            return valid ? "" : valid.error().message;
          },
          ""));
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer(
      "Example: merope bench serve --endpoint http://localhost:8000 --max-concurrency 8 "
      "--num-prompts 64\n"
      "         merope bench serve --endpoint http://localhost:8000 --request-rate 4 "
      "--goodput ttft:500,tpot:50");
  command->callback(
      [arguments, chosen] { *chosen = [arguments] { return RunServeCommand(*arguments); }; });
}

}  // namespace merope

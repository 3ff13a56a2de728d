// merope bench throughput: measures many requests at once, and compares the time with the limit of
// the machine.
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/progress.h"
#include "bench/bench_json.h"
#include "bench/datasets.h"
#include "bench/throughput.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/table.h"

namespace merope {
namespace {

struct ThroughputArguments {
  ModelOptions model;
  DatasetOptions dataset;
  ThroughputOptions throughput;
  bool json = false;
};

void Print(const ThroughputArguments& arguments, const ThroughputResult& result) {
  const ThroughputCase& first = result.cases.front();
  fmt::print("Throughput: {:.2f} requests/s, {:.2f} total tokens/s, {:.2f} output tokens/s\n",
             first.requests_per_second.p50, first.tokens_per_second.p50,
             first.output_tokens_per_second.p50);
  fmt::print("Total num prompt tokens:  {}\nTotal num output tokens:  {}\n\n", result.prompt_tokens,
             result.output_tokens);
  std::vector<std::vector<std::string>> rows = {
      {"speculative tokens", "seconds", "requests/s", "tokens/s", "output tok/s", "TTFT ms", "cold",
       "cached", "cached tokens", "preempted", "accepted", "tokens/step", "of limit", "speed-up"}};
  for (const ThroughputCase& c : result.cases) {
    const EngineStats& s = c.stats;
    const bool whole = s.prefix_hits == 0 && s.draft_tokens == 0;
    rows.push_back(
        {std::to_string(c.speculative_tokens), fmt::format("{:.2f}", c.seconds.p50),
         fmt::format("{:.2f}", c.requests_per_second.p50),
         fmt::format("{:.1f}", c.tokens_per_second.p50),
         fmt::format("{:.1f}", c.output_tokens_per_second.p50),
         fmt::format("{:.0f}", c.ttft.p50 * 1e3), fmt::format("{:.0f}", c.ttft_cold.p50 * 1e3),
         s.prefix_hits > 0 ? fmt::format("{:.0f}", c.ttft_cached.p50 * 1e3) : "",
         std::to_string(s.prefix_hits), std::to_string(s.preemptions),
         s.draft_tokens > 0 ? fmt::format("{} of {}", s.accepted_tokens, s.draft_tokens) : "",
         fmt::format("{:.2f}",
                     static_cast<double>(s.generated_tokens) / static_cast<double>(s.steps)),
         whole ? fmt::format("{:.0f} %", c.limit_share.p50 * 100) : "",
         &c == &result.cases.front() ? "" : ToText(c.speedup)});
  }
  PrintTable(rows, 0);
  fmt::print(
      "\n  {} requests ({}); medians of {} runs, in turns, after {} of warm-up. Tokens and texts "
      "are the same in all.\n"
      "  TTFT from a request's submission: of all, of those that found nothing of their prompt in "
      "the "
      "prefix cache, of those that did.\n"
      "  Of limit: the time that this machine needs for the prompts' operations at {:.0f} GOP/s "
      "and the decoded tokens' reading\n"
      "  at {:.1f} GB/s, as probed around each run, over the time taken. Speed-up: over the first "
      "row, in the same turn, with its\n  95 % interval.\n",
      result.requests, arguments.dataset.name, arguments.throughput.repeats,
      arguments.throughput.warmup, first.peak.p50 / 1e9, first.bandwidth.p50 / 1e9);
}

Result<int> RunThroughput(ThroughputArguments arguments) {
  TRY_ASSIGN(const LoadedModel loaded, LoadAndSay(arguments.model));
  TRY_ASSIGN(const std::vector<Request> requests,
             MakeRequests(arguments.dataset, loaded.checkpoint, loaded.tokenizer,
                          loaded.model().max_model_len()));
  ThroughputOptions& options = arguments.throughput;
  options.engine = arguments.model.engine;
  options.threads = loaded.runtime.threads;
  ThroughputResult result;
  {
    ProgressBar bar("measuring");
    options.progress = [&bar](int64_t done, int64_t total) { bar.Update(done, total); };
    TRY_ASSIGN(result, MeasureThroughput(loaded.model(), loaded.tokenizer, requests, options));
  }
  if (!arguments.json) {
    Print(arguments, result);
    return 0;
  }
  Json json = ToJson(result);
  json["model"] = loaded.checkpoint.path();
  json["dtype"] = PrecisionName(loaded.backend().precision());
  json["backend"] = loaded.backend().name();
  json["dataset"] = arguments.dataset.name;
  json["version"] = MEROPE_VERSION;
  fmt::print("{}\n", json.dump(2));
  return 0;
}

}  // namespace

void AddBenchThroughput(CLI::App& bench, Action* chosen) {
  CLI::App* command = bench.add_subcommand(
      "throughput",
      "Measure requests and tokens per second of many requests at once, as vllm bench does");
  const auto arguments = std::make_shared<ThroughputArguments>();
  AddModelOptions(*command, &arguments->model);
  AddEngineOptions(*command, &arguments->model);
  DatasetOptions& dataset = arguments->dataset;
  ThroughputOptions& options = arguments->throughput;
  const auto number = [command](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help)->capture_default_str();
  };
  command
      ->add_option(
          "--dataset", dataset.name,
          "Kind of prompts: random, shared-prefix, quoting (a passage to repeat, as RAG answers "
          "do) or stories")
      ->check(CLI::IsMember({"random", "shared-prefix", "quoting", "stories"}))
      ->capture_default_str();
  const CLI::Validator length = Between(1, kMaxPositions), requests = Between(1, kMaxRequests);
  number("--num-prompts", dataset.num_prompts, "Number of requests")->check(requests);
  number("--input-len", dataset.input_length,
         "Random tokens per prompt (only for random and shared-prefix)")
      ->check(length);
  number("--output-len", dataset.output_length,
         "Tokens to generate per request (for quoting and stories: the maximum)")
      ->check(length);
  number("--prefix-len", dataset.prefix_length, "Tokens per shared prefix")->check(length);
  number("--num-prefixes", dataset.num_prefixes, "Number of shared prefixes")->check(requests);
  number("--temperature", dataset.temperature,
         "Sampling temperature; 0 decodes greedily, a value above 0 samples with --seed");
  number("--seed", dataset.seed, "Seed of the random prompts and of sampling");
  command->remove_option(command->get_option("--speculative-tokens"));
  command
      ->add_option("--speculative-tokens", options.speculative_tokens,
                   "Maximum number of tokens proposed per step; several comma-separated values are "
                   "measured alternately")
      ->delimiter(',')
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  number("--max-concurrency", options.max_concurrency,
         "Maximum number of requests at the same time; the next request is submitted when a "
         "request ends (0: all requests at once)")
      ->check(AtLeast(0));
  number("--warmup", options.warmup, "Untimed runs for each value of --speculative-tokens")
      ->check(AtLeast(0));
  number("--repeats", options.repeats, "Timed runs for each value of --speculative-tokens")
      ->check(AtLeast(1));
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer(
      "Example: merope bench throughput ./model --num-prompts 8 --input-len 512 --output-len 64\n"
      "         merope bench throughput SmolLM2-135M-Instruct.gguf --dataset quoting "
      "--max-num-seqs 1 --speculative-tokens 0,10");
  command->callback([arguments, chosen] {
    SamplingParams params{.temperature = arguments->dataset.temperature};
    RequireValid(Settle(&params, {}));
    *chosen = [arguments] { return RunThroughput(*arguments); };
  });
}

}  // namespace merope

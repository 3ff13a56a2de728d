// merope bench roofline: measures this machine's memory read bandwidth and its multiply-add peaks.
#include <memory>
#include <string>
#include <vector>

#include "base/machine.h"
#include "base/progress.h"
#include "bench/bench_json.h"
#include "bench/roofline.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace merope {
namespace {

struct RooflineArguments {
  RooflineOptions options;
  bool json = false;
};

void Print(const RooflineResult& result, const std::string& cpu) {
  fmt::print("{}, {}\n\n", cpu, result.target);
  std::vector<std::vector<std::string>> rows = {{""}};
  const auto add = [&](const char* name, const auto& figure) {
    std::vector<std::string>& row = rows.emplace_back(std::vector<std::string>{name});
    for (const RooflineRow& r : result.rows) {
      const Distribution& d = figure(r);
      for (const double value : {d.p50, d.min, d.max})
        row.push_back(fmt::format("{:.1f}", value / 1e9));
    }
  };
  for (const RooflineRow& r : result.rows)
    for (const std::string& column :
         {fmt::format("{} thread{}", r.threads, r.threads > 1 ? "s" : ""), std::string("least"),
          std::string("most")})
      rows[0].push_back(column);
  add("memory read, GB/s", [](const RooflineRow& r) { return r.bandwidth; });
  add("fp32 multiply-add, GFLOP/s", [](const RooflineRow& r) { return r.peak(PeakKind::kFp32); });
  add("bf16 dot product, GFLOP/s", [](const RooflineRow& r) { return r.peak(PeakKind::kBf16); });
  add("int8 dot product, GOP/s", [](const RooflineRow& r) { return r.peak(PeakKind::kInt8); });
  PrintTable(rows, 1);
  fmt::print(
      "\n  Medians of {} probes of each figure, in turn. A multiply-add is two operations, on "
      "registers alone.\n",
      result.probes);
}

Result<int> RunRoofline(const RooflineArguments& arguments) {
  RooflineOptions options = arguments.options;
  RooflineResult result;
  {
    ProgressBar bar("measuring");
    options.progress = [&bar](double done, double total) {
      bar.Update(static_cast<int64_t>(done * 1e3), static_cast<int64_t>(total * 1e3));
    };
    TRY_ASSIGN(result, MeasureRoofline(options));
  }
  const std::string cpu = ReadMachine().cpu;
  if (arguments.json) {
    Json json = ToJson(result);
    json["cpu"] = cpu;
    json["version"] = MEROPE_VERSION;
    fmt::print("{}\n", json.dump(2));
  } else {
    Print(result, cpu);
  }
  return 0;
}

}  // namespace

void AddBenchRoofline(CLI::App& bench, Action* chosen) {
  CLI::App* command = bench.add_subcommand(
      "roofline",
      "Measure the memory read bandwidth and the multiply-add peaks, on one thread and on all "
      "threads");
  const auto arguments = std::make_shared<RooflineArguments>();
  command->add_option("--seconds", arguments->options.seconds, "Total measurement time in seconds")
      ->capture_default_str();
  command
      ->add_option("--threads", arguments->options.threads,
                   "Number of threads for the figures on all threads (0: the usable cores)")
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer("Example: merope bench roofline --seconds 10");
  command->callback([arguments, chosen] {
    RequireValid(Validate(arguments->options));
    *chosen = [arguments] { return RunRoofline(*arguments); };
  });
}

}  // namespace merope

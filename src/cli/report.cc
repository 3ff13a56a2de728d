// merope report: writes the whole adaptation report from one run.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cli/cli.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/endpoint_options.h"
#include "cli/hub_model.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "cli/verify_table.h"
#include "engine/load.h"
#include "report/collect.h"
#include "report/self_check.h"
#include "report/write_report.h"
#include "verify/user_prompts.h"

namespace merope {
namespace {

struct ReportArguments {
  std::string directory, lang = "both";
  std::vector<std::string> dtypes = {"bf16"};
  std::string environment, layout = "report";
  bool quick = false, full = false, json = false;
  TargetRequest target;
  ReportOptions options;
};

using Files = std::vector<std::string>;

std::string ToText(const ReportData& data, const std::string& directory, const Files& files) {
  std::string text;
  for (const std::string& file : files)
    if (!file.ends_with(".svg")) text += fmt::format("{}/{}\n", directory, file);
  text +=
      fmt::format("weights: {}\n(a) the reference report's table: {}\n(b) every position, {}: {}\n",
                  VerdictName(data.weights.ok() ? Verdict::kPass : Verdict::kFail),
                  VerdictName(data.verify.first_token.verdict),
                  data.server ? "most probable tokens" : "full vocabulary",
                  VerdictName(data.verify.positions.verdict));
  if (data.verify.endpoint)
    text += fmt::format("probe of the server: {}\n", VerdictName(data.verify.endpoint->verdict));
  return text;
}

std::string ToJson(const ReportData& data, const std::string& directory, const Files& files) {
  return JsonLine({{"directory", directory},
                   {"files", files},
                   {"first_token", VerdictName(data.verify.first_token.verdict)},
                   {"positions", VerdictName(data.verify.positions.verdict)},
                   {"probe", data.verify.endpoint ? Json(VerdictName(data.verify.endpoint->verdict))
                                                  : Json(nullptr)},
                   {"weights_ok", data.weights.ok()}});
}

// The prompts of the verification, as they were before a server's answers.
Result<std::vector<VerifyPrompt>> ReportedPrompts(const ReportOptions& options) {
  TRY_ASSIGN(const Checkpoint checkpoint, OpenLimited(options.model, options.limit));
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
  return AllPrompts(checkpoint, tokenizer, options.mode, options.prompts);
}

Result<int> RunReport(ReportArguments arguments) {
  ReportOptions& options = arguments.options;
  options.mode = arguments.quick  ? VerifyMode::kQuick
                 : arguments.full ? VerifyMode::kFull
                                  : VerifyMode::kDefault;
  for (size_t i = 0; i < arguments.dtypes.size(); ++i) {
    TRY_ASSIGN(const std::optional<Precision> precision, ParsePrecision(arguments.dtypes[i]));
    if (i == 0) {
      options.target = precision.value_or(Precision::kBf16);
    } else {
      options.others.push_back(precision.value_or(Precision::kBf16));
    }
  }
  std::vector<Language> languages;
  if (arguments.lang != "zh") languages.push_back(Language::kEnglish);
  if (arguments.lang != "en") languages.push_back(Language::kChinese);
  // Checks the directory first: minutes of work must not be lost because of a read-only directory.
  TRY(PrepareReport(arguments.directory));
  TRY_ASSIGN(options.model, FindModel(options.model));

  PhaseBars bars;
  const ReportProgress progress{[&bars](std::string_view phase, int64_t done, int64_t total) {
    bars.Update(phase, done, total);
  }};
  const bool server = arguments.target.given();
  TRY_ASSIGN(const ReportData data, server ? CollectServer(options,
                                                           {.target = arguments.target,
                                                            .environment = arguments.environment,
                                                            .say =
                                                                [&bars](const std::string& line) {
                                                                  bars.Clear();
                                                                  std::fprintf(stderr, "%s\n",
                                                                               line.c_str());
                                                                }},
                                                           progress)
                                           : Collect(options, progress));
  bars.Clear();
  TRY(CheckVerdicts(data));
  std::vector<std::string> files;
  if (arguments.layout == "gitcode") {
    RepositoryFiles more{.verify_table = VerifyTable(data.verify, false),
                         .answers = arguments.target.answers,
                         .prompts = {}};
    TRY_ASSIGN(more.prompts, ReportedPrompts(options));
    TRY_ASSIGN(files, WriteRepository(data, more, arguments.directory, languages));
  } else {
    TRY_ASSIGN(files, WriteReport(data, arguments.directory, languages));
  }

  TRY(WriteOutput(arguments.json ? ToJson(data, arguments.directory, files)
                                 : ToText(data, arguments.directory, files)));
  return ExitCode(data.verdict());
}

}  // namespace

void AddReport(CLI::App& app, Action* chosen) {
  CLI::App* report = app.add_subcommand(
      "report", "Load, check, run, verify and measure a model, and write the adaptation report");
  const auto a = std::make_shared<ReportArguments>();
  AddModel(*report, &a->options.model);
  report->add_option("-o,--output", a->directory, "Directory to write the report into")->required();
  report
      ->add_option(
          "--layout", a->layout,
          "Files to write: report (report.*.md, report.*.html), or gitcode (the folder of "
          "a repository: README.md, verification_report.*, scripts/, prompts.jsonl, logs/)")
      ->check(CLI::IsMember({"report", "gitcode"}))
      ->capture_default_str();
  report->add_option("--lang", a->lang, "Language of the report: en, zh or both")
      ->check(CLI::IsMember({"en", "zh", "both"}))
      ->capture_default_str();
  CLI::Option* quick = report->add_flag(
      "--quick", a->quick, "Use fewer prompts and runs; takes a few minutes for a small model");
  report->add_flag("--full", a->full, "Use all built-in prompts, up to 4,096 tokens long")
      ->excludes(quick);
  CLI::Option* endpoint = AddTarget(
      *report, &a->target,
      "Report on the model that this OpenAI-compatible server runs (http://host:port); MODEL is "
      "the fp32 reference. The report measures the server's speed, too.");
  report->get_option("--numerics")->needs(endpoint);
  AddText(*report, "--environment", &a->environment,
          "YAML file that states what a server does not tell: device, driver, cann, host_cpu, …")
      ->needs(endpoint);
  report
      ->add_option(
          "--dtype", a->dtypes,
          "Dtype to verify and measure against fp32: bf16 (default), int8, int4, native, or fp32 "
          "(against a double-precision reference). In a list such as bf16,int8,int4, the first "
          "dtype is the subject of the report; the other dtypes are also verified and measured, "
          "and one table compares all dtypes.")
      ->check(CLI::IsMember({"bf16", "bfloat16", "fp32", "float32", "float", "float16", "half",
                             "int8", "int4", "native"}))
      ->transform(OldDtype())
      ->delimiter(',')
      ->excludes(endpoint);
  report->add_option(
      "--prompts", a->options.prompts,
      "File of your own prompts to verify in addition: .jsonl with {\"prompt\": \"…\"} on each "
      "line, or one prompt per line");
  AddContextLimit(*report, &a->options.limit);
  AddThreads(*report, &a->options.threads);
  report->add_flag("--json", a->json, "Print one JSON object with the files and the verdicts");
  report->footer(
      "Writes report.{en,zh}.{md,html}, figures/ and report.json (--layout report).\n"
      "Exit code, as for verify: 0 PASS; 1 FAIL, or the weights do not match the configuration;\n"
      "2 INCONCLUSIVE. The worst of three verdicts sets the exit code: the weight check, (a) the\n"
      "reference report's table, and (b) the full suite.\n"
      "The reference report is the public adaptation report of Pleias-RAG-350M on an Ascend\n"
      "NPU.\n\n"
      "Examples:\n"
      "  merope report SmolLM2-135M-Instruct.gguf -o report --quick\n"
      "  merope report SmolLM2-135M-Instruct.gguf -o report --endpoint http://npu-host:8000\n"
      "docs/endpoints.md describes the report of a server and the fields of --environment.");
  report->callback([a, chosen] { *chosen = [a] { return RunReport(*a); }; });
}

}  // namespace merope

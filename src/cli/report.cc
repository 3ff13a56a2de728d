// merope report: writes the whole adaptation report from one run.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "engine/load.h"
#include "report/write_report.h"

namespace merope {
namespace {

struct ReportArguments {
  std::string directory, lang = "both";
  std::vector<std::string> dtypes = {"bf16"};
  bool quick = false, full = false, json = false;
  ReportOptions options;
};

using Files = std::vector<std::string>;

std::string ToText(const ReportData& data, const std::string& directory, const Files& files) {
  std::string text;
  for (const std::string& file : files)
    if (!file.ends_with(".svg")) text += fmt::format("{}/{}\n", directory, file);
  return text + fmt::format(
                    "weights: {}\n(a) the reference report's table: {}\n(b) every position, full "
                    "vocabulary: {}\n",
                    VerdictName(data.weights.ok() ? Verdict::kPass : Verdict::kFail),
                    VerdictName(data.verify.first_token.verdict),
                    VerdictName(data.verify.positions.verdict));
}

std::string ToJson(const ReportData& data, const std::string& directory, const Files& files) {
  return JsonLine({{"directory", directory},
                   {"files", files},
                   {"first_token", VerdictName(data.verify.first_token.verdict)},
                   {"positions", VerdictName(data.verify.positions.verdict)},
                   {"weights_ok", data.weights.ok()}});
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
  TRY_ASSIGN(const ReportData data,
             Collect(options, {[&bars](std::string_view phase, int64_t done, int64_t total) {
                       bars.Update(phase, done, total);
                     }}));
  TRY_ASSIGN(const std::vector<std::string> files,
             WriteReport(data, arguments.directory, languages));

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
  report->add_option("--lang", a->lang, "Language of the report: en, zh or both")
      ->check(CLI::IsMember({"en", "zh", "both"}))
      ->capture_default_str();
  CLI::Option* quick = report->add_flag(
      "--quick", a->quick, "Use fewer prompts and runs; takes a few minutes for a small model");
  report->add_flag("--full", a->full, "Use all built-in prompts, up to 4,096 tokens long")
      ->excludes(quick);
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
      ->delimiter(',');
  report->add_option(
      "--prompts", a->options.prompts,
      "File of your own prompts to verify in addition: .jsonl with {\"prompt\": \"…\"} on each "
      "line, or one prompt per line");
  AddContextLimit(*report, &a->options.limit);
  AddThreads(*report, &a->options.threads);
  report->add_flag("--json", a->json, "Print one JSON object with the files and the verdicts");
  report->footer(
      "Writes report.{en,zh}.{md,html}, figures/ and report.json.\n"
      "Exit code, as for verify: 0 PASS; 1 FAIL, or the weights do not match the configuration;\n"
      "2 INCONCLUSIVE. The worst of three verdicts sets the exit code: the weight check, (a) the\n"
      "reference report's table, and (b) the full suite.\n"
      "The reference report is the public adaptation report of Pleias-RAG-350M on an Ascend\n"
      "NPU.\n\n"
      "Example: merope report SmolLM2-135M-Instruct.gguf -o report --quick");
  report->callback([a, chosen] { *chosen = [a] { return RunReport(*a); }; });
}

}  // namespace merope

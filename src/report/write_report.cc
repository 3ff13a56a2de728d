#include "report/write_report.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/json.h"
#include "base/mapped_file.h"
#include "report/report_json.h"
#include "report/report_scripts.h"
#include "report/sections.h"

namespace merope {

namespace {

Status MakeDirectories(const std::string& directory, std::string_view inside) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(directory) / inside, error);
  if (error) return Err("{}: cannot make the directory: {}", directory, error.message());
  if (access(directory.c_str(), W_OK) != 0)
    return Err("{}: expected a directory that can be written to", directory);
  return {};
}

}  // namespace

Status PrepareReport(const std::string& directory) {
  std::vector<std::filesystem::path> absent;  // innermost first
  std::error_code error;
  for (std::filesystem::path path = std::filesystem::path(directory) / "figures";
       !path.empty() && !std::filesystem::exists(path, error); path = path.parent_path()) {
    absent.push_back(path);
    if (path == path.parent_path()) break;
  }
  const Status made = MakeDirectories(directory, "figures");
  for (const std::filesystem::path& path : absent) std::filesystem::remove(path, error);
  return made;
}

namespace {

// Writes files into a directory, and keeps their names.
class Folder {
 public:
  explicit Folder(const std::string& directory) : directory_(directory) {}

  Status Write(const std::string& name, std::string_view content) {
    TRY(WriteFile(directory_ + "/" + name, content));
    if (std::ranges::find(names_, name) == names_.end()) names_.push_back(name);
    return {};
  }
  // Writes the document as Markdown, and its figures.
  Status WriteMarkdown(const std::string& name, const Document& document) {
    const std::string_view suffix = document.language == "en" ? "en" : "zh";
    const auto figure = [&](const Plot& plot) {
      return fmt::format("figures/{}.{}.svg", plot.id, suffix);
    };
    for (const Block& block : document.blocks)
      if (const auto* plot = std::get_if<Figure>(&block))
        TRY(Write(figure(plot->plot), ToSvg(plot->plot, true)));
    return Write(name, ToMarkdown(document, figure));
  }
  std::vector<std::string> names() && { return std::move(names_); }

 private:
  std::string directory_;
  std::vector<std::string> names_;
};

std::string PromptLines(std::span<const VerifyPrompt> prompts) {
  std::string lines;
  for (const VerifyPrompt& p : prompts)
    lines += DumpJson(OrderedJson{{"id", p.id},
                                  {"kind", p.kind},
                                  {"language", p.language},
                                  {"prompt", p.text},
                                  {"ids", p.ids}}) +
             "\n";
  return lines;
}

}  // namespace

Result<std::vector<std::string>> WriteReport(const ReportData& data, const std::string& directory,
                                             std::span<const Language> languages) {
  TRY(MakeDirectories(directory, "figures"));
  Folder folder(directory);
  for (const Language language : languages) {
    const Document document = BuildReport(data, language);
    const std::string suffix = language == Language::kEnglish ? "en" : "zh";
    TRY(folder.WriteMarkdown("report." + suffix + ".md", document));
    TRY(folder.Write("report." + suffix + ".html", ToHtml(document)));
  }
  TRY(folder.Write("report.json", DumpJson(ToJson(data), 2) + "\n"));
  return std::move(folder).names();
}

Result<std::vector<std::string>> WriteRepository(const ReportData& data,
                                                 const RepositoryFiles& files,
                                                 const std::string& directory,
                                                 std::span<const Language> languages) {
  for (const char* inside : {"figures", "scripts", "logs"}) TRY(MakeDirectories(directory, inside));
  Folder folder(directory);
  const bool chinese = std::ranges::find(languages, Language::kChinese) != languages.end();
  for (const Language language : languages) {
    const bool other = chinese && language == Language::kEnglish;
    TRY(folder.WriteMarkdown(other ? "README.en.md" : "README.md", BuildReport(data, language)));
    TRY(folder.WriteMarkdown(other ? "verification_report.en.md" : "verification_report.md",
                             BuildVerificationReport(data, language)));
  }
  TRY(folder.Write("verification_report.json", DumpJson(ToJson(data), 2) + "\n"));
  TRY(folder.Write("prompts.jsonl", PromptLines(files.prompts)));
  for (const ReportScript& script : ReportScripts())
    TRY(folder.Write("scripts/" + std::string(script.name), script.text));
  TRY(folder.Write("logs/verify.txt", files.verify_table));
  if (!files.answers.empty()) {
    TRY_ASSIGN(const MappedFile answers, MappedFile::Open(files.answers));
    const std::span<const std::byte> bytes = answers.bytes();
    TRY(folder.Write("logs/answers.jsonl",
                     {reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
  }
  return std::move(folder).names();
}

}  // namespace merope

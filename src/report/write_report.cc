#include "report/write_report.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "base/json.h"
#include "base/mapped_file.h"
#include "report/report_json.h"
#include "report/sections.h"

namespace merope {

namespace {

Status MakeDirectories(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory + "/figures", error);
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
  const Status made = MakeDirectories(directory);
  for (const std::filesystem::path& path : absent) std::filesystem::remove(path, error);
  return made;
}

Result<std::vector<std::string>> WriteReport(const ReportData& data, const std::string& directory,
                                             std::span<const Language> languages) {
  TRY(MakeDirectories(directory));
  std::vector<std::string> names;
  const auto write = [&](const std::string& name, std::string_view content) -> Status {
    TRY(WriteFile(directory + "/" + name, content));
    names.push_back(name);
    return {};
  };
  for (const Language language : languages) {
    const Document document = BuildReport(data, language);
    const std::string suffix = language == Language::kEnglish ? "en" : "zh";
    const auto figure = [&](const Plot& plot) {
      return fmt::format("figures/{}.{}.svg", plot.id, suffix);
    };
    for (const Block& block : document.blocks)
      if (const auto* plot = std::get_if<Figure>(&block))
        TRY(write(figure(plot->plot), ToSvg(plot->plot, true)));
    TRY(write("report." + suffix + ".md", ToMarkdown(document, figure)));
    TRY(write("report." + suffix + ".html", ToHtml(document)));
  }
  TRY(write("report.json", DumpJson(ToJson(data), 2) + "\n"));
  return names;
}

}  // namespace merope

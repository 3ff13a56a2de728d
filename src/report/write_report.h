// Writes the report's files: report.en.md, report.en.html, report.zh.md, report.zh.html, figures/,
// report.json. Called by `merope report`, on the main thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "report/report_data.h"
#include "report/words.h"

namespace merope {

// Checks that the directory can be created and written to. Removes the directories that the check
// created.
Status PrepareReport(const std::string& directory);
// Returns the names of the written files, relative to the directory.
Result<std::vector<std::string>> WriteReport(const ReportData& data, const std::string& directory,
                                             std::span<const Language> languages);

}  // namespace merope

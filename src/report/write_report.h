// The report's files: report.en.md, report.en.html, report.zh.md, report.zh.html, figures/,
// report.json.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "report/report_data.h"
#include "report/words.h"

namespace merope {

// Makes the directory and what lies under it, where they are not there, and tries to write in it.
Status PrepareReport(const std::string& directory);
// The names of the files written, relative to the directory.
Result<std::vector<std::string>> WriteReport(const ReportData& data, const std::string& directory,
                                             std::span<const Language> languages);

}  // namespace merope

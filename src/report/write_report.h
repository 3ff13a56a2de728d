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

// Whether the directory can be made, and written in. What was not there is not left behind.
Status PrepareReport(const std::string& directory);
// The names of the files written, relative to the directory.
Result<std::vector<std::string>> WriteReport(const ReportData& data, const std::string& directory,
                                             std::span<const Language> languages);

}  // namespace merope

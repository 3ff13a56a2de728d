// Writes the report's files. Called by `merope report`, on the main thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "report/report_data.h"
#include "report/words.h"
#include "verify/prompts.h"

namespace merope {

// Checks that the directory can be created and written to. Removes the directories that the check
// created.
Status PrepareReport(const std::string& directory);
// Writes report.en.md, report.en.html, report.zh.md, report.zh.html, figures/ and report.json.
// Returns the names of the written files, relative to the directory.
Result<std::vector<std::string>> WriteReport(const ReportData& data, const std::string& directory,
                                             std::span<const Language> languages);

// What a repository holds beside the report.
struct RepositoryFiles {
  std::string verify_table;           // the table of `merope verify`
  std::string answers = {};           // a file of a server's answers, to be copied; or empty
  std::vector<VerifyPrompt> prompts;  // those of the verification
};
// Writes the folder of an adaptation repository on GitCode, as the reference report has it (the
// public adaptation report of Pleias-RAG-350M on an Ascend NPU): README.md (the report, Chinese if
// that is among the languages; another language in README.en.md), verification_report.md and .json,
// prompts.jsonl, scripts/, figures/ and logs/. Returns the names of the written files.
Result<std::vector<std::string>> WriteRepository(const ReportData& data,
                                                 const RepositoryFiles& files,
                                                 const std::string& directory,
                                                 std::span<const Language> languages);

}  // namespace merope

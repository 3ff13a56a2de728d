// The sections of the report, in order. Each function writes one part of the data into the document
// in one language. BuildReport calls the functions, on the caller's thread.
#pragma once

#include "report/document.h"
#include "report/report_data.h"
#include "report/words.h"

namespace merope {

struct Section {
  const ReportData& data;
  Words say;
  Document& out;
};

void WriteSummary(Section section);       // before the first section: the verdict and key figures
void WriteIntroduction(Section section);  // 1
void WriteEnvironment(Section section);   // 2
void WriteArchitecture(Section section);  // 3
void WriteAdaptation(Section section);    // 4: files, weights, load, generation
void WritePrecision(Section section);     // 5
void WritePerformance(Section section);   // 6
void WriteErrors(Section section);        // 7
void WriteUsage(Section section);         // 8, 9: usage, licence
// Parts of 2, 4, 5 and all of 6, if the subject is a server.
void WriteServerEnvironment(Section section);
void WriteServerStart(Section section);
void WriteServerStability(Section section);
void WriteServerPerformance(Section section);

Document BuildReport(const ReportData& data, Language language);
// The summary, and sections 5 and 7 alone.
Document BuildVerificationReport(const ReportData& data, Language language);

}  // namespace merope

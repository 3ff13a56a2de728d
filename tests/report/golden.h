// A report with invented figures. All figures differ in the printed digits.
#pragma once

#include "report/report_data.h"

namespace merope {

ReportData GoldenReport();
// The same with a server as the subject.
ReportData GoldenServerReport();

}  // namespace merope

// A report whose figures are made up, each unlike all others at the digits that are printed.
#pragma once

#include "report/report_data.h"

namespace merope {

ReportData GoldenReport();

}  // namespace merope

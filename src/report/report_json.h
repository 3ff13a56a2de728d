// Writes all data of a report as JSON. Called by WriteReport, on the caller's thread.
#pragma once

#include "base/json.h"
#include "report/report_data.h"

namespace merope {

OrderedJson ToJson(const ReportData& data);

}  // namespace merope

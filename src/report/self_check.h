// Checks that a report's verdicts follow from its numbers, before it is written. Called by
// `merope report`. A pure function.
#pragma once

#include "base/error.h"
#include "report/report_data.h"

namespace merope {

// Judges every gate again from its value, interval and limits, and each suite from its gates. The
// error names the first PASS that the numbers do not bear, and a verdict that is better than that
// of a part.
Status CheckVerdicts(const ReportData& data);

}  // namespace merope

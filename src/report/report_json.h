// Writes all data of a report as JSON. Called by WriteReport, on the caller's thread.
#pragma once

#include <nlohmann/json.hpp>

#include "report/report_data.h"

namespace merope {

nlohmann::ordered_json ToJson(const ReportData& data);

}  // namespace merope

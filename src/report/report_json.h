// All of a report's data as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "report/report_data.h"

namespace merope {

nlohmann::ordered_json ToJson(const ReportData& data);

}  // namespace merope

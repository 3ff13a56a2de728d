// The time that a template may ask for with strftime_now.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

// "2026-11-28", or with a time: "2026-11-28T20:15:00".
Result<std::tm> ParseDate(std::string_view text, const std::string& what);
// Python's strftime of that time; without one, of MEROPE_DATE's, or of the time that it is here.
Result<std::string> FormatDate(const std::optional<std::tm>& date, std::string_view format);

}  // namespace merope

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
// What the prompts that merope makes itself tell (to verify, report and measure): the same on any
// day, kOwnPromptsDate, unless MEROPE_DATE is set.
inline constexpr std::string_view kOwnPromptsDate = "2026-01-01";
Result<std::tm> OwnPromptsDate();
// Python's strftime of that time; without one, of MEROPE_DATE's, or of the time that it is here.
Result<std::string> FormatDate(const std::optional<std::tm>& date, std::string_view format);

}  // namespace merope

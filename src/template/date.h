// The date and time that a chat template reads with strftime_now. The renderer and the tools that
// make prompts call these functions.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

// Parses "2026-11-28", or with a time: "2026-11-28T20:15:00". what: the name of text, for errors.
Result<std::tm> ParseDate(std::string_view text, const std::string& what);
// The date for prompts that merope itself makes (to verify, report and measure). The date is
// kOwnPromptsDate on every day, unless MEROPE_DATE is set.
inline constexpr std::string_view kOwnPromptsDate = "2026-01-01";
Result<std::tm> OwnPromptsDate();
// Formats date like Python's strftime. If date is nullopt, FormatDate uses MEROPE_DATE. If
// MEROPE_DATE is not set, FormatDate uses the current local time.
Result<std::string> FormatDate(const std::optional<std::tm>& date, std::string_view format);

}  // namespace merope

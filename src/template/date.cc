#include "template/date.h"

#include <array>
#include <cstdlib>

namespace merope {
namespace {

// Removes n digits from the start of *text and returns their value. Returns nullopt if *text does
// not start with n digits.
std::optional<int> TakeDigits(std::string_view* text, size_t n) {
  if (text->size() < n) return std::nullopt;
  int number = 0;
  for (const char c : text->substr(0, n)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + (c - '0');
  }
  text->remove_prefix(n);
  return number;
}

std::optional<std::tm> Read(std::string_view text) {
  std::array<int, 6> parts = {};  // year, month, day, hour, minute, second
  constexpr std::string_view kBefore = "\0--T::";
  const size_t n = text.size() == 10 ? 3 : parts.size();
  for (size_t i = 0; i < n; ++i) {
    if (i > 0) {
      if (text.empty() || text.front() != kBefore[i]) return std::nullopt;
      text.remove_prefix(1);
    }
    const auto part = TakeDigits(&text, i == 0 ? 4 : 2);
    if (!part) return std::nullopt;
    parts[i] = *part;
  }
  std::tm time = {};
  time.tm_year = parts[0] - 1900;
  time.tm_mon = parts[1] - 1;
  time.tm_mday = parts[2];
  time.tm_hour = parts[3];
  time.tm_min = parts[4];
  time.tm_sec = parts[5];
  const std::tm given = time;
  timegm(
      &time);  // sets the weekday and the day of the year, and changes a date that does not exist
  if (!text.empty() || time.tm_mon != given.tm_mon || time.tm_mday != given.tm_mday ||
      time.tm_hour != given.tm_hour || time.tm_min != given.tm_min || time.tm_sec != given.tm_sec)
    return std::nullopt;
  return time;
}

// The value of MEROPE_DATE, or nullptr if MEROPE_DATE is not set or empty.
const char* GivenDate() {
  const char* given = std::getenv("MEROPE_DATE");
  return given != nullptr && *given != '\0' ? given : nullptr;
}

Result<std::tm> Now() {
  if (const char* given = GivenDate()) return ParseDate(given, "MEROPE_DATE");
  const std::time_t now = std::time(nullptr);
  std::tm time = {};
  localtime_r(&now, &time);
  return time;
}

}  // namespace

Result<std::tm> ParseDate(std::string_view text, const std::string& what) {
  if (const auto time = Read(text)) return *time;
  return Err("{}: expected a date such as 2026-11-28 or 2026-11-28T20:15:00, found \"{}\"", what,
             text.substr(0, 60));
}

Result<std::tm> OwnPromptsDate() {
  const char* given = GivenDate();
  return ParseDate(given != nullptr ? given : kOwnPromptsDate, "MEROPE_DATE");
}

Result<std::string> FormatDate(const std::optional<std::tm>& date, std::string_view format) {
  std::tm time = {};
  if (date) {
    time = *date;
  } else {
    TRY_ASSIGN(time, Now());
  }
  std::string pattern;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '\0') return Err("strftime_now: a character of code 0 in the format");
    if (format[i] != '%' || i + 1 == format.size()) {
      pattern += format[i];
      continue;
    }
    const char directive = format[++i];
    if (directive == 'f') {
      pattern += "000000";                              // the time has no microseconds
    } else if (directive != 'z' && directive != 'Z') {  // without a zone, %z and %Z are empty
      pattern += {'%', directive};
    }
  }
  if (pattern.empty()) return pattern;
  std::array<char, 4096> text;
  // strftime returns 0 if the text does not fit. The extra "." makes every other result positive.
  const size_t n = std::strftime(text.data(), text.size(), (pattern + ".").c_str(), &time);
  if (n == 0) return Err("strftime_now: a text of more than {} bytes", text.size());
  return std::string(text.data(), n - 1);
}

}  // namespace merope

#include "report/words.h"

#include <fmt/format.h>

#include <cmath>

namespace merope {

std::string Thousands(int64_t value) {
  const std::string digits = std::to_string(std::abs(value));
  std::string text = value < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string Compact(int64_t value) {
  const auto number = static_cast<double>(value);
  if (value >= 1'000'000'000) return fmt::format("{:.2f} B", number / 1e9);
  if (value >= 1'000'000) return fmt::format("{:.1f} M", number / 1e6);
  return value >= 1'000 ? fmt::format("{:.1f} K", number / 1e3) : std::to_string(value);
}

std::string Fixed(double value, int decimals) { return fmt::format("{:.{}f}", value, decimals); }

std::string Percent(double share, int decimals) {
  // A nonzero share must not print as zero, so a share too small for its decimals prints two
  // significant digits.
  if (share != 0 && std::abs(share) * 100 < 0.5 * std::pow(10, -decimals))
    return Number(share * 100, 2) + " %";
  return fmt::format("{:.{}f} %", share * 100, decimals);
}

std::string Size(int64_t bytes) {
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (std::abs(bytes) < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; std::abs(value) >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, unit >= 2 ? 2 : 1, kUnits[unit]);
}

std::string Millis(double seconds, int decimals) {
  return fmt::format("{:.{}f}", seconds * 1e3, decimals);
}
std::string Rate(double bytes_per_second) {
  return fmt::format("{:.1f} GB/s", bytes_per_second / 1e9);
}
Run Badge(Verdict verdict) { return {std::string(VerdictName(verdict)), Tone(verdict)}; }
Run Badge(bool passed) { return Badge(passed ? Verdict::kPass : Verdict::kFail); }
Style Tone(Verdict verdict) {
  return verdict == Verdict::kPass   ? Style::kPass
         : verdict == Verdict::kFail ? Style::kFail
                                     : Style::kWarn;
}

}  // namespace merope

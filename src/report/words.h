// The two languages of a report, and the formats of numbers. The code that uses a text states the
// text in English and in Chinese, so that no translation can be missing. Called by the sections, on
// the caller's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "report/document.h"
#include "verify/digits.h"
#include "verify/verdict.h"

namespace merope {

enum class Language : uint8_t { kEnglish, kChinese };

// say("in English", "用中文")
class Words {
 public:
  explicit Words(Language language) : chinese_(language == Language::kChinese) {}
  std::string_view operator()(std::string_view english, std::string_view chinese) const {
    return chinese_ ? chinese : english;
  }
  Run Yes(bool value) const { return (*this)(value ? "yes" : "no", value ? "是" : "否"); }
  bool chinese() const { return chinese_; }

 private:
  bool chinese_;
};

std::string Thousands(int64_t value);                  // "353,424,384"
std::string Compact(int64_t value);                    // "353.4 M"
std::string Fixed(double value, int decimals);         // "0.999926"
std::string Percent(double share, int decimals = 2);   // "99.60 %"
std::string Size(int64_t bytes);                       // "674.1 MiB"
std::string Millis(double seconds, int decimals = 2);  // "13.10"
std::string Rate(double bytes_per_second);             // "33.5 GB/s"

// Badge: PASS, FAIL or INCONCLUSIVE as a run in the style of the verdict; for a bool, PASS or FAIL.
// Tone: the style of a verdict.
Run Badge(Verdict verdict);
Run Badge(bool passed);
Style Tone(Verdict verdict);

}  // namespace merope

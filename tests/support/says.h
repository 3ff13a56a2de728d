// A matcher for death tests: the printed text contains a given text. A regular expression is not
// possible: the Oniguruma library defines its own regcomp, which does not fit the regexec that
// AddressSanitizer calls, so the test would hang.
#pragma once

#include <ostream>
#include <string>

namespace merope {

struct Says {
  using is_gtest_matcher = void;
  bool MatchAndExplain(const std::string& printed, std::ostream* /*why*/) const {
    return printed.contains(text);
  }
  void DescribeTo(std::ostream* out) const { *out << "says " << text; }
  void DescribeNegationTo(std::ostream* out) const { *out << "does not say " << text; }
  const char* text;
};

}  // namespace merope

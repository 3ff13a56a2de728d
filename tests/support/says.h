// A text of what a death test prints. Not a regular expression: Oniguruma's library has a regcomp
// of its own, which does not go with the regexec that AddressSanitizer calls: such a test hangs.
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

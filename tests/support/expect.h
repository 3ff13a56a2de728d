// Helpers for tests of functions that return a Result.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

// The error message of a result. For a result without an error: a text that no test expects.
template <class T>
std::string ErrorOf(const Result<T>& result) {
  return result ? "(no error)" : result.error().message;
}

inline testing::AssertionResult Contains(std::string_view text, std::string_view part) {
  if (text.find(part) != text.npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected \"" << part << "\" in \"" << text << '"';
}

}  // namespace merope

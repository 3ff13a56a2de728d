// The filters on sequences (sequence_filters.cc), and helpers for all filters. filters.cc has the
// table of all filters and calls these functions. The arguments have the order of the filter's
// parameters. Pure functions.
#pragma once

#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "template/jinja/functions.h"
#include "text/strings.h"

namespace merope::jinja {

inline Result<Value> FromText(Result<std::string> text) {
  if (!text) return std::unexpected(std::move(text).error());
  return Value::String(std::move(*text));
}

// Reads a number as Python's int() and float() do. Returns nullopt if text is not a number of type
// T.
template <class T>
std::optional<T> ParseNumber(const std::string& text) {
  std::string_view digits = strings::Strip(text, true, true);
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  T number{};
  const char* const begin = std::to_address(digits.begin());
  const char* const end = begin + digits.size();
  const auto parsed = std::from_chars(begin, end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

namespace filters {

// Filters on sequences.
Result<Value> DictSort(const Value& input, const Bound& arguments);
Result<Value> First(const Value& input, const Bound& arguments);
Result<Value> ItemsOf(const Value& input, const Bound& arguments);
Result<Value> JoinItems(const Value& input, const Bound& arguments);
Result<Value> Last(const Value& input, const Bound& arguments);
Result<Value> LengthOf(const Value& input, const Bound& arguments);
Result<Value> ListOf(const Value& input, const Bound& arguments);
Result<Value> Max(const Value& input, const Bound& arguments);
Result<Value> Min(const Value& input, const Bound& arguments);
Result<Value> Reverse(const Value& input, const Bound& arguments);
Result<Value> Sort(const Value& input, const Bound& arguments);
Result<Value> Sum(const Value& input, const Bound& arguments);
Result<Value> Unique(const Value& input, const Bound& arguments);
// MapItems implements the filter map. Select implements select, reject, selectattr and rejectattr.
Result<Value> MapItems(const std::vector<Value>& items, Arguments arguments);
Result<Value> Select(std::string_view filter, const std::vector<Value>& items, Arguments arguments);

}  // namespace filters
}  // namespace merope::jinja

// The filters, by what they work on. Arguments come in the order of the parameters.
#pragma once

#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_functions.h"
#include "text/jinja_text.h"

namespace merope::jinja {

inline Result<Value> FromText(Result<std::string> text) {
  if (!text) return std::unexpected(std::move(text).error());
  return Value::String(std::move(*text));
}

// A number as int() and float() read it.
template <class T>
std::optional<T> ParseNumber(const std::string& text) {
  std::string_view digits = Strip(text, true, true);
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  T number{};
  const char* const begin = std::to_address(digits.begin());
  const char* const end = begin + digits.size();
  const auto parsed = std::from_chars(begin, end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

namespace filters {

// Of sequences.
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
// map, select, reject, selectattr and rejectattr.
Result<Value> MapItems(const std::vector<Value>& items, Arguments arguments);
Result<Value> Select(std::string_view filter, const std::vector<Value>& items, Arguments arguments);

}  // namespace filters
}  // namespace merope::jinja

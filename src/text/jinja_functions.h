// What templates may call: filters, tests, methods of values, and operators. Pure functions; errors
// name the function.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/jinja_value.h"

namespace merope::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};
// The arguments by parameter; nullopt where not given. Errors: too many, too few, an unknown name.
using Bound = std::vector<std::optional<Value>>;
Result<Bound> Bind(std::string_view function, const Arguments& arguments,
                   std::initializer_list<std::string_view> parameters, size_t required);

// A typed argument; fallback where it was not given, or is None.
Result<int64_t> IntArgument(std::string_view function, const std::optional<Value>& value,
                            int64_t fallback);
bool BoolArgument(const std::optional<Value>& value, bool fallback);
Result<std::optional<std::string>> TextArgument(std::string_view function,
                                                const std::optional<Value>& value);

bool HasFilter(std::string_view name);
Result<Value> ApplyFilter(std::string_view name, const Value& input, const Arguments& arguments);
bool HasTest(std::string_view name);
Result<bool> ApplyTest(std::string_view name, const Value& input, const Arguments& arguments);

// value.name and value[key]; what is not there is undefined. Errors: of an undefined value, or a
// method that is not supported.
Result<Value> Attribute(const Value& value, const std::string& name);
Result<Value> Item(const Value& value, const Value& key);
Result<Value> Slice(const Value& value, const std::optional<Value>& start,
                    const std::optional<Value>& stop, const std::optional<Value>& step);
Result<Value> CallMethod(const Value& self, std::string_view name, const Arguments& arguments);

Result<bool> Contains(const Value& container, const Value& item);
Result<Value> Arithmetic(std::string_view op, const Value& a, const Value& b);
Result<Value> Sign(std::string_view op, const Value& value);
Result<std::string> Join(const std::vector<Value>& items, std::string_view separator);
// Markup's: the text as markup, <, >, &, and both quotes as entities unless it is that already.
Result<Value> Escaped(const Value& value);
// Python's "…" % values, and "…".format(…). A result of markup escapes what is put into it.
Result<Value> PercentFormat(const Value& format, const Value& values);
Result<Value> BraceFormat(const Value& format, const Arguments& arguments);

}  // namespace merope::jinja

// The functions that a template can call: filters, tests, methods of values, and operators. The
// renderer calls them. Pure functions. Errors name the function.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "template/value.h"

namespace merope::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};
// Bind returns one argument per parameter, in the order of the parameters. The element is nullopt
// if the argument is not given. Errors: too many arguments, too few arguments, an unknown name, or
// an argument that is given twice.
using Bound = std::vector<std::optional<Value>>;
Result<Bound> Bind(std::string_view function, const Arguments& arguments,
                   std::initializer_list<std::string_view> parameters, size_t required);

// Return the argument as a value of the named type. If the argument is not given or is None,
// IntArgument returns fallback and TextArgument returns nullopt. BoolArgument returns fallback only
// if the argument is not given.
Result<int64_t> IntArgument(std::string_view function, const std::optional<Value>& value,
                            int64_t fallback);
bool BoolArgument(const std::optional<Value>& value, bool fallback);
Result<std::optional<std::string>> TextArgument(std::string_view function,
                                                const std::optional<Value>& value);

bool HasFilter(std::string_view name);
Result<Value> ApplyFilter(std::string_view name, const Value& input, const Arguments& arguments);
bool HasTest(std::string_view name);
Result<bool> ApplyTest(std::string_view name, const Value& input, const Arguments& arguments);

// value.name and value[key]. An absent attribute or item gives an undefined value. Errors: value is
// undefined, or the method is not supported.
Result<Value> Attribute(const Value& value, const std::string& name);
Result<Value> Item(const Value& value, const Value& key);
Result<Value> Slice(const Value& value, const std::optional<Value>& start,
                    const std::optional<Value>& stop, const std::optional<Value>& step);
Result<Value> CallMethod(const Value& self, std::string_view name, const Arguments& arguments);

Result<bool> Contains(const Value& container, const Value& item);
Result<Value> Arithmetic(std::string_view op, const Value& a, const Value& b);
Result<Value> Sign(std::string_view op, const Value& value);
Result<std::string> Join(const std::vector<Value>& items, std::string_view separator);
// Returns the text of value as markup, with <, >, & and both quotes as entities. If value already
// is markup, Escaped returns value unchanged.
Result<Value> Escaped(const Value& value);
// Python's "…" % values, and "…".format(…). If format is markup, the result is markup, and the
// inserted values are escaped.
Result<Value> PercentFormat(const Value& format, const Value& values);
Result<Value> BraceFormat(const Value& format, const Arguments& arguments);

}  // namespace merope::jinja

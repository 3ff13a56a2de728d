#include <algorithm>

#include "template/jinja/functions.h"
#include "text/strings.h"

namespace merope::jinja {

Result<Bound> Bind(std::string_view function, const Arguments& arguments,
                   std::initializer_list<std::string_view> parameters, size_t required) {
  if (arguments.positional.size() > parameters.size())
    return Err("{}: expected at most {} arguments, found {}", function, parameters.size(),
               arguments.positional.size());
  Bound bound(arguments.positional.begin(), arguments.positional.end());
  bound.resize(parameters.size());
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::ranges::find(parameters, name);
    if (found == parameters.end()) return Err("{}: no argument is called \"{}\"", function, name);
    auto& place = bound[static_cast<size_t>(found - parameters.begin())];
    if (place) return Err("{}: the argument \"{}\" is given twice", function, name);
    place = value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!bound[i]) return Err("{}: expected {} arguments", function, required);
  return bound;
}

Result<int64_t> IntArgument(std::string_view function, const std::optional<Value>& value,
                            int64_t fallback) {
  if (!value || value->is_none()) return fallback;
  if (const auto integer = value->AsInt()) return *integer;
  return Err("{}: expected an int, found {}", function, value->TypeName());
}

bool BoolArgument(const std::optional<Value>& value, bool fallback) {
  return value ? value->Truthy() : fallback;
}

Result<std::optional<std::string>> TextArgument(std::string_view function,
                                                const std::optional<Value>& value) {
  if (!value || value->is_none()) return std::nullopt;
  if (const std::string* text = value->text()) return *text;
  return Err("{}: expected a str, found {}", function, value->TypeName());
}

Result<std::string> Join(const std::vector<Value>& items, std::string_view separator) {
  std::string result;
  for (size_t i = 0; i < items.size(); ++i) {
    TRY_ASSIGN(const std::string text, ToText(items[i]));
    if (result.size() + text.size() + separator.size() > strings::kMaxTextBytes)
      return Err("join: a string of more than {} bytes", strings::kMaxTextBytes);
    if (i > 0) result += separator;
    result += text;
  }
  return result;
}

}  // namespace merope::jinja

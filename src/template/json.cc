#include "template/json.h"

#include <limits>

#include "base/json.h"

namespace merope::jinja {
namespace {

// The recursion is as deep as the JSON is nested. ParseJson limits the nesting.
Result<Value> ToValue(const OrderedJson& json) {
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return Value::Bool(json.get<bool>());
    case OrderedJson::value_t::number_unsigned:
      if (json.get<uint64_t>() > std::numeric_limits<int64_t>::max())
        return Value::Double(json.get<double>());
      return Value::Int(json.get<int64_t>());
    case OrderedJson::value_t::number_integer:
      return Value::Int(json.get<int64_t>());
    case OrderedJson::value_t::number_float:
      return Value::Double(json.get<double>());
    case OrderedJson::value_t::string:
      return Value::String(json.get<std::string>());
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      for (const OrderedJson& item : json) {
        TRY_ASSIGN(Value value, ToValue(item));
        items.push_back(std::move(value));
      }
      return Value::List(std::move(items));
    }
    case OrderedJson::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [key, item] : json.items()) {
        TRY_ASSIGN(Value value, ToValue(item));
        entries.emplace_back(Value::String(key), std::move(value));
      }
      return Value::Map(std::move(entries));
    }
    default:
      return Value::NoneValue();
  }
}

}  // namespace

Result<Value> FromJson(std::string_view text, const std::string& what) {
  TRY(ParseJson(text, what));
  Result<Value> value = ToValue(OrderedJson::parse(text));
  if (!value) return Within(what, value.error());
  return value;
}

}  // namespace merope::jinja

#include <algorithm>

#include "template/jinja/filters.h"

namespace merope::jinja::filters {
namespace {

// Returns the attribute that filters such as map, join, sum and sort name. path: names and indices,
// separated by dots.
Result<Value> Field(const Value& value, const std::string& path) {
  Value at = value;
  for (const std::string& part : strings::Split(path, ".", -1)) {
    const auto index = ParseNumber<int64_t>(part);
    TRY_ASSIGN(at, Item(at, index ? Value::Int(*index) : Value::String(part)));
  }
  return at;
}

Result<std::vector<Value>> Fields(const std::vector<Value>& items,
                                  const std::optional<Value>& attribute) {
  if (!attribute || attribute->is_none()) return items;
  TRY_ASSIGN(const std::string path, ToText(*attribute));
  std::vector<Value> fields;
  for (const Value& item : items) {
    TRY_ASSIGN(Value field, Field(item, path));
    fields.push_back(std::move(field));
  }
  return fields;
}

// Strings in lower case, unless case_sensitive is set.
Status Fold(bool case_sensitive, std::vector<Value>* keys) {
  for (Value& key : *keys) {
    if (case_sensitive || key.text() == nullptr) continue;
    TRY_ASSIGN(key, FromText(strings::Lower(*key.text())));
  }
  return {};
}

// Returns the indices of the keys in sorted order. Equal keys keep their order.
Result<std::vector<size_t>> Order(const std::vector<Value>& keys) {
  if (keys.size() > 10'000) return Err("more than 10000 items to sort");
  std::vector<size_t> order;
  for (size_t i = 0; i < keys.size(); ++i) {  // inserts i after all keys that are not greater
    size_t begin = 0, end = order.size();
    while (begin < end) {
      const size_t middle = (begin + end) / 2;
      TRY_ASSIGN(const bool less, Less(keys[i], keys[order[middle]]));
      (less ? end : begin) = less ? middle : middle + 1;
    }
    order.insert(order.begin() + static_cast<std::ptrdiff_t>(begin), i);
  }
  return order;
}

Result<Value> Extreme(const Value& input, const Bound& arguments, bool largest) {
  TRY_ASSIGN(const std::vector<Value> items, Items(input));
  if (items.empty()) return Value::UndefinedNamed("item of an empty sequence");
  TRY_ASSIGN(std::vector<Value> keys, Fields(items, arguments[1]));
  TRY(Fold(BoolArgument(arguments[0], false), &keys));
  TRY_ASSIGN(const std::vector<size_t> order, Order(keys));
  if (!largest) return items[order.front()];
  size_t best = order.size() - 1;  // Python's max returns the first of several equal items
  while (best > 0 && Equal(keys[order[best - 1]], keys[order[best]])) --best;
  return items[order[best]];
}

}  // namespace

Result<Value> First(const Value& input, const Bound&) {
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  return items.empty() ? Value::UndefinedNamed("first item") : items.front();
}

Result<Value> Last(const Value& input, const Bound&) {
  if (input.sequence() != nullptr && input.sequence()->kind == Sequence::Kind::kGenerator)
    return Err("a generator has no last item");
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  return items.empty() ? Value::UndefinedNamed("last item") : items.back();
}

Result<Value> LengthOf(const Value& input, const Bound&) {
  TRY_ASSIGN(const int64_t n, Length(input));
  return Value::Int(n);
}

Result<Value> ListOf(const Value& input, const Bound&) {
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  return Value::List(std::move(items));
}

Result<Value> ItemsOf(const Value& input, const Bound&) {
  if (input.is_undefined()) return Value::Generator({});
  if (input.mapping() == nullptr) return Err("expected a dict, found {}", input.TypeName());
  TRY_ASSIGN(const Value view, CallMethod(input, "items", {}));
  return Value::Generator(view.sequence()->items);
}

Result<Value> Reverse(const Value& input, const Bound&) {
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  std::ranges::reverse(items);
  if (input.text() != nullptr) {
    TRY_ASSIGN(std::string reversed, Join(items, ""));
    return LikeText(input, std::move(reversed));
  }
  const bool once = input.is_undefined() || (input.sequence() != nullptr &&
                                             input.sequence()->kind == Sequence::Kind::kGenerator);
  return once ? Value::List(std::move(items)) : Value::Generator(std::move(items));
}

Result<Value> JoinItems(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  TRY_ASSIGN(items, Fields(items, arguments[1]));
  TRY_ASSIGN(const std::string separator, ToText(arguments[0].value_or(Value::String(""))));
  return FromText(Join(items, separator));
}

Result<Value> Sum(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  TRY_ASSIGN(items, Fields(items, arguments[0]));
  Value sum = arguments[1].value_or(Value::Int(0));
  for (const Value& item : items) {
    TRY_ASSIGN(sum, Arithmetic("+", sum, item));
  }
  return sum;
}

Result<Value> Sort(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  TRY_ASSIGN(std::vector<Value> keys, Fields(items, arguments[2]));
  TRY(Fold(BoolArgument(arguments[1], false), &keys));
  const bool reverse = BoolArgument(arguments[0], false);
  if (reverse) {  // equal items keep their order
    std::ranges::reverse(items);
    std::ranges::reverse(keys);
  }
  TRY_ASSIGN(std::vector<size_t> order, Order(keys));
  if (reverse) std::ranges::reverse(order);
  std::vector<Value> sorted;
  for (const size_t i : order) sorted.push_back(items[i]);
  return Value::List(std::move(sorted));
}

Result<Value> DictSort(const Value& input, const Bound& arguments) {
  if (input.mapping() == nullptr) return Err("expected a dict, found {}", input.TypeName());
  TRY_ASSIGN(const auto by, TextArgument("dictsort", arguments[1]));
  TRY_ASSIGN(const Value pairs, CallMethod(input, "items", {}));
  const Bound sort = {arguments[2], arguments[0],
                      Value::Int(by.value_or("key") == "value" ? 1 : 0)};
  return Sort(pairs, sort);
}

Result<Value> Min(const Value& input, const Bound& arguments) {
  return Extreme(input, arguments, false);
}
Result<Value> Max(const Value& input, const Bound& arguments) {
  return Extreme(input, arguments, true);
}

Result<Value> Unique(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(const std::vector<Value> items, Items(input));
  TRY_ASSIGN(std::vector<Value> keys, Fields(items, arguments[1]));
  if (items.size() > 1000) return Err("more than 1000 items");
  TRY(Fold(BoolArgument(arguments[0], false), &keys));
  std::vector<Value> seen, unique;
  for (size_t i = 0; i < items.size(); ++i) {
    if (keys[i].mapping() != nullptr ||
        (keys[i].sequence() != nullptr && keys[i].sequence()->kind == Sequence::Kind::kList))
      return Err("unhashable: {}", keys[i].TypeName());
    const auto is_it = [&](const Value& other) { return Equal(other, keys[i]); };
    if (std::ranges::any_of(seen, is_it)) continue;
    seen.push_back(keys[i]);
    unique.push_back(items[i]);
  }
  return Value::Generator(std::move(unique));
}

// The filter map: map(attribute=…, default=…), or map("filter", arguments…).
Result<Value> MapItems(const std::vector<Value>& items, Arguments arguments) {
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    TRY_ASSIGN(const Bound bound, Bind("map", arguments, {"attribute", "default"}, 1));
    TRY_ASSIGN(mapped, Fields(items, bound[0]));
    if (bound[1])
      for (Value& value : mapped)
        if (value.is_undefined()) value = *bound[1];
    return Value::Generator(std::move(mapped));
  }
  const std::string* name = arguments.positional.front().text();
  if (name == nullptr || !HasFilter(*name))
    return Err("expected the name of a supported filter, found {}",
               name == nullptr ? arguments.positional.front().TypeName() : *name);
  arguments.positional.erase(arguments.positional.begin());
  for (const Value& item : items) {
    TRY_ASSIGN(Value value, ApplyFilter(*name, item, arguments));
    mapped.push_back(std::move(value));
  }
  return Value::Generator(std::move(mapped));
}

// The filters select and reject, with the arguments ([test, arguments…]), and selectattr and
// rejectattr, with (attribute[, test, arguments…]).
Result<Value> Select(std::string_view filter, const std::vector<Value>& items,
                     Arguments arguments) {
  std::optional<Value> attribute;
  if (filter.ends_with("attr")) {
    if (arguments.positional.empty()) return Err("expected an attribute");
    attribute = arguments.positional.front();
    arguments.positional.erase(arguments.positional.begin());
  }
  TRY_ASSIGN(const std::vector<Value> subjects, Fields(items, attribute));
  std::string test;
  if (!arguments.positional.empty()) {
    TRY_ASSIGN(test, ToText(arguments.positional.front()));
    if (!HasTest(test)) return Err("the test \"{}\" is not supported", test);
    arguments.positional.erase(arguments.positional.begin());
  }
  std::vector<Value> selected;
  for (size_t i = 0; i < items.size(); ++i) {
    bool holds = subjects[i].Truthy();
    if (!test.empty()) {
      TRY_ASSIGN(holds, ApplyTest(test, subjects[i], arguments));
    }
    if (holds == filter.starts_with("select")) selected.push_back(items[i]);
  }
  return Value::Generator(std::move(selected));
}

}  // namespace merope::jinja::filters

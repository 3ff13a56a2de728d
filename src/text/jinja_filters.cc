#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja_functions.h"
#include "text/jinja_text.h"

namespace merope::jinja {
namespace {

// A filter on a value, with its arguments in the order of its parameters.
struct Filter {
  std::string_view name;
  std::initializer_list<std::string_view> parameters;
  size_t required;
  Result<Value> (*run)(const Value& input, const Bound& arguments);
};

Result<Value> FromText(Result<std::string> text) {
  if (!text) return std::unexpected(std::move(text).error());
  return Value::String(std::move(*text));
}

Result<Value> Abs(const Value& input, const Bound&) {
  const auto number = input.AsNumber();
  if (!number) return Err("a {} has no absolute value", input.TypeName());
  return *number < 0 ? Sign("-", input) : Sign("+", input);
}

Result<Value> Default(const Value& input, const Bound& arguments) {
  const bool replace =
      input.is_undefined() || (BoolArgument(arguments[1], false) && !input.Truthy());
  return replace ? arguments[0].value_or(Value::String("")) : input;
}

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
  if (input.text() != nullptr) return FromText(Join(items, ""));
  const bool once = input.is_undefined() || (input.sequence() != nullptr &&
                                             input.sequence()->kind == Sequence::Kind::kGenerator);
  return once ? Value::List(std::move(items)) : Value::Generator(std::move(items));
}

Result<Value> String(const Value& input, const Bound&) { return FromText(ToText(input)); }

Result<Value> Trim(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(const std::string text, ToText(input));
  TRY_ASSIGN(const auto set, TextArgument("trim", arguments[0]));
  std::optional<std::string_view> characters;
  if (set) characters = *set;
  return Value::String(std::string(Strip(text, true, true, characters)));
}

Result<Value> UpperCase(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  return FromText(Upper(text));
}

Result<Value> LowerCase(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  return FromText(Lower(text));
}

Result<Value> CapitalCase(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  return FromText(Capitalize(text));
}

// Words begin after whitespace, a hyphen or an opening bracket: not str.title.
Result<Value> TitleWords(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  TRY_ASSIGN(std::string result, Lower(text));
  bool starts = true;
  for (char& c : result) {
    if (starts && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    starts = IsSpace(std::string_view(&c, 1)) ||
             std::string_view("-({[<").find(c) != std::string_view::npos;
  }
  return Value::String(std::move(result));
}

Result<Value> ReplaceText(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(const std::string text, ToText(input));
  TRY_ASSIGN(const std::string from, ToText(*arguments[0]));
  TRY_ASSIGN(const std::string to, ToText(*arguments[1]));
  TRY_ASSIGN(const int64_t max, IntArgument("replace", arguments[2], -1));
  return FromText(Replace(text, from, to, max));
}

// A number as int() and float() read it.
template <class T>
std::optional<T> ParseNumber(const std::string& text) {
  std::string_view digits = Strip(text, true, true);
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') digits.remove_prefix(1);
  T number{};
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

std::optional<double> ToDouble(const Value& input) {
  return input.text() != nullptr ? ParseNumber<double>(*input.text()) : input.AsNumber();
}

Result<Value> IntOf(const Value& input, const Bound& arguments) {
  if (input.is_undefined()) return Err("{} is no number", input.TypeName());
  if (const auto integer = input.AsInt()) return Value::Int(*integer);
  if (input.text() != nullptr)
    if (const auto integer = ParseNumber<int64_t>(*input.text())) return Value::Int(*integer);
  const auto number = ToDouble(input);
  if (!number || !(std::fabs(*number) < 0x1p63)) return arguments[0].value_or(Value::Int(0));
  return Value::Int(static_cast<int64_t>(*number));
}

Result<Value> FloatOf(const Value& input, const Bound& arguments) {
  if (input.is_undefined()) return Err("{} is no number", input.TypeName());
  const auto number = ToDouble(input);
  return number ? Value::Double(*number) : arguments[0].value_or(Value::Double(0));
}

Result<Value> Round(const Value& input, const Bound& arguments) {
  const auto number = input.AsNumber();
  if (!number) return Err("a {} cannot be rounded", input.TypeName());
  TRY_ASSIGN(const int64_t precision, IntArgument("round", arguments[0], 0));
  TRY_ASSIGN(const auto method, TextArgument("round", arguments[1]));
  if (precision < 0 || precision > 15)
    return Err("expected a precision from 0 to 15, found {}", precision);
  if (!method || *method == "common") {
    if (const auto integer = input.AsInt()) return Value::Int(*integer);
    const std::string digits =
        fmt::format("{:.{}f}", *number, precision);  // rounds the exact value
    return Value::Double(*ParseNumber<double>(digits));
  }
  if (*method != "ceil" && *method != "floor")
    return Err("expected the method common, ceil or floor, found {}", *method);
  const double scale = std::pow(10.0, static_cast<double>(precision)), scaled = *number * scale;
  return Value::Double((*method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> JsonOf(const Value& input, const Bound& arguments) {
  JsonStyle style;
  style.ensure_ascii = BoolArgument(arguments[0], false);
  if (arguments[1] && !arguments[1]->is_none()) {
    TRY_ASSIGN(const int64_t indent, IntArgument("tojson", arguments[1], 0));
    if (indent < 0 || indent > 16) return Err("expected an indent from 0 to 16, found {}", indent);
    style.indent = static_cast<int>(indent);
    style.item_separator = std::string(1, ',');
  }
  if (arguments[2] && !arguments[2]->is_none()) {
    TRY_ASSIGN(const std::vector<Value> separators, Items(*arguments[2]));
    if (separators.size() != 2 || separators[0].text() == nullptr ||
        separators[1].text() == nullptr)
      return Err("expected separators to be two strings");
    style.item_separator = *separators[0].text();
    style.key_separator = *separators[1].text();
  }
  style.sort_keys = BoolArgument(arguments[3], false);
  return FromText(ToJson(input, style));
}

Result<Value> Indent(const Value& input, const Bound& arguments) {
  if (input.text() == nullptr) return Err("expected a str, found {}", input.TypeName());
  const std::string& text = *input.text();
  std::string indention(4, ' ');
  if (arguments[0] && arguments[0]->text() != nullptr) {
    indention = *arguments[0]->text();
  } else if (arguments[0]) {
    TRY_ASSIGN(const int64_t width, IntArgument("indent", arguments[0], 4));
    indention.assign(static_cast<size_t>(std::clamp<int64_t>(width, 0, 1000)), ' ');
  }
  const std::vector<std::string> lines = SplitLines(text + "\n", false);
  if (text.size() + lines.size() * indention.size() > kMaxTextBytes)
    return Err("a string of more than {} bytes", kMaxTextBytes);
  const bool first = BoolArgument(arguments[1], false), blank = BoolArgument(arguments[2], false);
  std::string result;
  if (first) result = indention;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result += "\n";
    if (i > 0 && (blank || !lines[i].empty())) result += indention;
    result += lines[i];
  }
  return Value::String(std::move(result));
}

// map, join, sum, sort, … take an attribute: names and indices with dots between.
Result<Value> Field(const Value& value, const std::string& path) {
  Value at = value;
  for (const std::string& part : Split(path, ".", -1)) {
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

// The items in the order of their keys: strings without regard to case, unless it is asked for.
Result<std::vector<size_t>> Order(const std::vector<Value>& keys, bool case_sensitive) {
  std::vector<Value> folded = keys;
  for (Value& key : folded) {
    if (case_sensitive || key.text() == nullptr) continue;
    TRY_ASSIGN(key, FromText(Lower(*key.text())));
  }
  for (size_t i = 1; i < folded.size(); ++i) TRY(Less(folded[i - 1], folded[i]));
  std::vector<size_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(
      order, [&folded](size_t a, size_t b) { return Less(folded[a], folded[b]).value_or(false); });
  return order;
}

Result<Value> Sort(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(std::vector<Value> items, Items(input));
  TRY_ASSIGN(std::vector<Value> keys, Fields(items, arguments[2]));
  const bool reverse = BoolArgument(arguments[0], false);
  if (reverse) {  // equal ones keep their order
    std::ranges::reverse(items);
    std::ranges::reverse(keys);
  }
  TRY_ASSIGN(std::vector<size_t> order, Order(keys, BoolArgument(arguments[1], false)));
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

Result<Value> Extreme(const Value& input, const Bound& arguments, bool largest) {
  TRY_ASSIGN(const std::vector<Value> items, Items(input));
  if (items.empty()) return Value::UndefinedNamed("item of an empty sequence");
  TRY_ASSIGN(const std::vector<Value> keys, Fields(items, arguments[1]));
  TRY_ASSIGN(const std::vector<size_t> order, Order(keys, BoolArgument(arguments[0], false)));
  if (!largest) return items[order.front()];
  size_t best = order.size() - 1;  // Python's max gives the first of equals
  while (best > 0 && Equal(keys[order[best - 1]], keys[order[best]])) --best;
  return items[order[best]];
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
  std::vector<Value> seen, unique;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!BoolArgument(arguments[0], false) && keys[i].text() != nullptr) {
      TRY_ASSIGN(keys[i], FromText(Lower(*keys[i].text())));
    }
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

const Filter kFilters[] = {
    {"abs", {}, 0, Abs},
    {"capitalize", {}, 0, CapitalCase},
    {"count", {}, 0, LengthOf},
    {"d", {"default_value", "boolean"}, 0, Default},
    {"default", {"default_value", "boolean"}, 0, Default},
    {"dictsort", {"case_sensitive", "by", "reverse"}, 0, DictSort},
    {"first", {}, 0, First},
    {"float", {"default"}, 0, FloatOf},
    {"indent", {"width", "first", "blank"}, 0, Indent},
    {"int", {"default"}, 0, IntOf},
    {"items", {}, 0, ItemsOf},
    {"join", {"d", "attribute"}, 0, JoinItems},
    {"last", {}, 0, Last},
    {"length", {}, 0, LengthOf},
    {"list", {}, 0, ListOf},
    {"lower", {}, 0, LowerCase},
    {"max", {"case_sensitive", "attribute"}, 0, Max},
    {"min", {"case_sensitive", "attribute"}, 0, Min},
    {"replace", {"old", "new", "count"}, 2, ReplaceText},
    {"reverse", {}, 0, Reverse},
    {"round", {"precision", "method"}, 0, Round},
    {"sort", {"reverse", "case_sensitive", "attribute"}, 0, Sort},
    {"string", {}, 0, String},
    {"sum", {"attribute", "start"}, 0, Sum},
    {"title", {}, 0, TitleWords},
    {"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0, JsonOf},
    {"trim", {"chars"}, 0, Trim},
    {"unique", {"case_sensitive", "attribute"}, 0, Unique},
    {"upper", {}, 0, UpperCase},
};
constexpr std::array<std::string_view, 5> kSelecting = {"map", "select", "reject", "selectattr",
                                                        "rejectattr"};

const Filter* FindFilter(std::string_view name) {
  const auto* found = std::ranges::find(kFilters, name, &Filter::name);
  return found == std::end(kFilters) ? nullptr : found;
}

// map(attribute=…, default=…), or map("filter", arguments…).
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

// select and reject ([test, arguments…]), selectattr and rejectattr (attribute[, test,
// arguments…]).
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

Result<Value> Run(std::string_view name, const Value& input, const Arguments& arguments) {
  if (const Filter* filter = FindFilter(name)) {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, filter->parameters, filter->required));
    return filter->run(input, bound);
  }
  std::vector<Value> items;
  if (input.Truthy()) {  // none, 0 and the like count as empty here
    TRY_ASSIGN(items, Items(input));
  }
  return name == "map" ? MapItems(items, arguments) : Select(name, items, arguments);
}

}  // namespace

bool HasFilter(std::string_view name) {
  return FindFilter(name) != nullptr || std::ranges::find(kSelecting, name) != kSelecting.end();
}

Result<Value> ApplyFilter(std::string_view name, const Value& input, const Arguments& arguments) {
  Result<Value> result = Run(name, input, arguments);
  if (!result) return Within(fmt::format("filter {}", name), std::move(result).error());
  return result;
}

}  // namespace merope::jinja

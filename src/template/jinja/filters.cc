#include "template/jinja/filters.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace merope::jinja {
namespace {

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

// The result is markup if input is markup.
Result<Value> LikeInput(const Value& input, Result<std::string> text) {
  if (!text) return std::unexpected(std::move(text).error());
  return LikeText(input, std::move(*text));
}

Result<Value> String(const Value& input, const Bound&) { return LikeInput(input, ToText(input)); }

Result<Value> Escape(const Value& input, const Bound&) { return Escaped(input); }

Result<Value> ForceEscape(const Value& input, const Bound&) {
  TRY_ASSIGN(std::string text, ToText(input));
  return Escaped(Value::String(std::move(text)));
}

Result<Value> Safe(const Value& input, const Bound&) {
  TRY_ASSIGN(std::string text, ToText(input));
  return Value::Safe(std::move(text));
}

Result<Value> Trim(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(const std::string text, ToText(input));
  TRY_ASSIGN(const auto set, TextArgument("trim", arguments[0]));
  std::optional<std::string_view> characters;
  if (set) characters = *set;
  return LikeText(input, std::string(strings::Strip(text, true, true, characters)));
}

Result<Value> UpperCase(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  return LikeInput(input, strings::Upper(text));
}

Result<Value> LowerCase(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  return LikeInput(input, strings::Lower(text));
}

Result<Value> CapitalCase(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  return LikeInput(input, strings::Capitalize(text));
}

// A word begins after whitespace, a hyphen or an opening bracket. Python's str.title has another
// rule.
Result<Value> TitleWords(const Value& input, const Bound&) {
  TRY_ASSIGN(const std::string text, ToText(input));
  TRY_ASSIGN(std::string result, strings::Lower(text));
  bool starts = true;
  for (char& c : result) {
    if (starts && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    starts = strings::IsSpace(std::string_view(&c, 1)) ||
             std::string_view("-({[<").find(c) != std::string_view::npos;
  }
  return Value::String(std::move(result));
}

Result<Value> ReplaceText(const Value& input, const Bound& arguments) {
  TRY_ASSIGN(const std::string text, ToText(input));
  TRY_ASSIGN(const std::string from, ToText(*arguments[0]));
  TRY_ASSIGN(const std::string to, ToText(*arguments[1]));
  TRY_ASSIGN(const int64_t max, IntArgument("replace", arguments[2], -1));
  return FromText(strings::Replace(text, from, to, max));
}

std::optional<double> ToDouble(const Value& input) {
  return input.text() != nullptr ? ParseNumber<double>(*input.text()) : input.AsNumber();
}

// Python's int(text, base). Returns nullopt if text is not a number in this base.
Result<std::optional<int64_t>> ParseInt(const std::string& text, int64_t base) {
  std::string digits(strings::Strip(text, true, true));
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.erase(0, 1);
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  const std::string prefix = digits.substr(0, 2);
  const auto named = [&](char letter) {
    return prefix == std::string{'0', letter} ||
           prefix == std::string{'0', static_cast<char>(letter - 'a' + 'A')};
  };
  for (const auto& [letter, of] : {std::pair{'x', 16}, {'o', 8}, {'b', 2}})
    if (named(letter) && (base == of || base == 0)) {
      base = of;
      digits.erase(0, 2);
      if (digits.starts_with('_')) digits.erase(0, 1);
      break;
    }
  if (base == 0) {
    base = 10;
    if (digits.starts_with('0') && digits.find_first_not_of("0_") != digits.npos)
      return std::nullopt;
  }
  for (size_t i = 1; i + 1 < digits.size(); ++i)
    if (digits[i] == '_' && digits[i + 1] != '_') digits.erase(i, 1);
  if (digits.empty() || digits.starts_with('-')) return std::nullopt;
  if (negative) digits.insert(0, 1, '-');
  int64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, number, static_cast<int>(base));
  if (parsed.ptr != end || parsed.ec == std::errc::invalid_argument) return std::nullopt;
  if (parsed.ec != std::errc()) return Err("a number of more than 64 bits is not supported");
  return number;
}

Result<Value> IntOf(const Value& input, const Bound& arguments) {
  if (input.is_undefined()) return Err("{} is no number", input.TypeName());
  if (const auto integer = input.AsInt()) return Value::Int(*integer);
  if (input.text() != nullptr) {
    TRY_ASSIGN(const int64_t base, IntArgument("int", arguments[1], 10));
    TRY_ASSIGN(const auto integer, ParseInt(*input.text(), base));
    if (integer) return Value::Int(*integer);
  }
  const auto number = ToDouble(input);
  if (number && std::isinf(*number) && input.text() == nullptr)
    return Err("{} is no whole number", *number);
  if (!number || !std::isfinite(*number)) return arguments[0].value_or(Value::Int(0));
  if (!(std::fabs(*number) < 0x1p63)) return Err("a number of more than 64 bits is not supported");
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
        fmt::format("{:.{}f}", *number, precision);  // rounds the exact value of the double
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
  const std::vector<std::string> lines = strings::SplitLines(text + "\n", false);
  if (text.size() + lines.size() * indention.size() > strings::kMaxTextBytes)
    return Err("a string of more than {} bytes", strings::kMaxTextBytes);
  const bool first = BoolArgument(arguments[1], false), blank = BoolArgument(arguments[2], false);
  std::string result;
  if (first) result = indention;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result += "\n";
    if (i > 0 && (blank || !lines[i].empty())) result += indention;
    result += lines[i];
  }
  return LikeText(input, std::move(result));
}

// A filter on a value. run gets the arguments in the order of parameters.
struct Filter {
  std::string_view name;
  std::initializer_list<std::string_view> parameters;
  size_t required;
  Result<Value> (*run)(const Value& input, const Bound& arguments);
};

const Filter kFilters[] = {
    {"abs", {}, 0, Abs},
    {"capitalize", {}, 0, CapitalCase},
    {"count", {}, 0, filters::LengthOf},
    {"d", {"default_value", "boolean"}, 0, Default},
    {"default", {"default_value", "boolean"}, 0, Default},
    {"dictsort", {"case_sensitive", "by", "reverse"}, 0, filters::DictSort},
    {"e", {}, 0, Escape},
    {"escape", {}, 0, Escape},
    {"first", {}, 0, filters::First},
    {"float", {"default"}, 0, FloatOf},
    {"forceescape", {}, 0, ForceEscape},
    {"indent", {"width", "first", "blank"}, 0, Indent},
    {"int", {"default", "base"}, 0, IntOf},
    {"items", {}, 0, filters::ItemsOf},
    {"join", {"d", "attribute"}, 0, filters::JoinItems},
    {"last", {}, 0, filters::Last},
    {"length", {}, 0, filters::LengthOf},
    {"list", {}, 0, filters::ListOf},
    {"lower", {}, 0, LowerCase},
    {"max", {"case_sensitive", "attribute"}, 0, filters::Max},
    {"min", {"case_sensitive", "attribute"}, 0, filters::Min},
    {"replace", {"old", "new", "count"}, 2, ReplaceText},
    {"reverse", {}, 0, filters::Reverse},
    {"round", {"precision", "method"}, 0, Round},
    {"safe", {}, 0, Safe},
    {"sort", {"reverse", "case_sensitive", "attribute"}, 0, filters::Sort},
    {"string", {}, 0, String},
    {"sum", {"attribute", "start"}, 0, filters::Sum},
    {"title", {}, 0, TitleWords},
    {"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0, JsonOf},
    {"trim", {"chars"}, 0, Trim},
    {"unique", {"case_sensitive", "attribute"}, 0, filters::Unique},
    {"upper", {}, 0, UpperCase},
};
constexpr std::array<std::string_view, 5> kSelecting = {"map", "select", "reject", "selectattr",
                                                        "rejectattr"};

const Filter* FindFilter(std::string_view name) {
  const auto* found = std::ranges::find(kFilters, name, &Filter::name);
  return found == std::end(kFilters) ? nullptr : found;
}

Result<Value> Run(std::string_view name, const Value& input, const Arguments& arguments) {
  if (const Filter* filter = FindFilter(name)) {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, filter->parameters, filter->required));
    return filter->run(input, bound);
  }
  if (name == "format") {
    if (!arguments.positional.empty() && !arguments.named.empty())
      return Err("expected arguments with names or without, found both");
    TRY_ASSIGN(const Value text, String(input, {}));
    std::vector<std::pair<Value, Value>> named;
    for (const auto& [key, value] : arguments.named) named.emplace_back(Value::String(key), value);
    TRY_ASSIGN(const Value values,
               named.empty() ? Value::Tuple(arguments.positional) : Value::Map(std::move(named)));
    return PercentFormat(text, values);
  }
  if (std::ranges::find(kSelecting, name) == kSelecting.end()) return Err("not supported");
  std::vector<Value> items;
  if (input.Truthy()) {  // a false value, such as none or 0, counts as an empty sequence
    TRY_ASSIGN(items, Items(input));
  }
  return name == "map" ? filters::MapItems(items, arguments)
                       : filters::Select(name, items, arguments);
}

}  // namespace

bool HasFilter(std::string_view name) {
  return FindFilter(name) != nullptr || name == "format" ||
         std::ranges::find(kSelecting, name) != kSelecting.end();
}

Result<Value> ApplyFilter(std::string_view name, const Value& input, const Arguments& arguments) {
  Result<Value> result = Run(name, input, arguments);
  if (!result) return Within(fmt::format("filter {}", name), std::move(result).error());
  return result;
}

}  // namespace merope::jinja

#include <algorithm>
#include <array>
#include <span>

#include "template/jinja/functions.h"
#include "text/strings.h"

namespace merope::jinja {
namespace {

constexpr std::array<std::string_view, 25> kTextMethods = {
    "strip",    "lstrip",  "rstrip",  "split",        "rsplit",       "splitlines", "startswith",
    "endswith", "upper",   "lower",   "capitalize",   "title",        "replace",    "find",
    "rfind",    "count",   "join",    "removeprefix", "removesuffix", "isdigit",    "isspace",
    "index",    "isupper", "islower", "format"};
// The methods that return markup if the string is markup.
constexpr std::array<std::string_view, 14> kMarkupMethods = {
    "strip", "lstrip",     "rstrip", "split",   "rsplit", "splitlines",   "upper",
    "lower", "capitalize", "title",  "replace", "join",   "removeprefix", "removesuffix"};
constexpr std::array<std::string_view, 4> kMappingMethods = {"items", "keys", "values", "get"};
constexpr std::array<std::string_view, 2> kListMethods = {"index", "count"};

// The other methods of Python's types. A template that uses such a name probably means the method,
// so the name is an error. Any other unknown name is an absent field.
constexpr std::array<std::string_view, 22> kOtherTextMethods = {
    "casefold",   "center",   "encode",    "expandtabs",   "format_map", "isalnum",
    "isalpha",    "isascii",  "isdecimal", "isidentifier", "isnumeric",  "isprintable",
    "istitle",    "ljust",    "maketrans", "partition",    "rindex",     "rjust",
    "rpartition", "swapcase", "translate", "zfill"};
constexpr std::array<std::string_view, 7> kOtherMappingMethods = {
    "clear", "copy", "fromkeys", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 9> kOtherListMethods = {
    "append", "clear", "copy", "extend", "insert", "pop", "remove", "reverse", "sort"};

bool Has(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

Value Method(const Value& self, std::string name) {
  return Value(Value::Data(std::make_shared<const Callable>(std::move(name), self)));
}

Result<Value> Texts(std::vector<std::string> parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (std::string& part : parts) items.push_back(Value::String(std::move(part)));
  return Value::List(std::move(items));
}

// startswith and endswith take a string or a tuple of strings.
Result<bool> StartsOrEnds(std::string_view name, std::string_view text, const Value& what) {
  std::vector<Value> options = {what};
  if (const Sequence* tuple = what.sequence()) options = tuple->items;
  for (const Value& option : options) {
    if (option.text() == nullptr)
      return Err("{}: expected a str, found {}", name, option.TypeName());
    if (name == "startswith" ? text.starts_with(*option.text()) : text.ends_with(*option.text()))
      return true;
  }
  return false;
}

// Whether text is not empty and predicate holds for every character.
template <class Predicate>
bool AllCharacters(std::string_view text, Predicate predicate) {
  for (size_t at = 0; at < text.size(); at += strings::CharacterBytes(text, at))
    if (!predicate(text.substr(at, strings::CharacterBytes(text, at)))) return false;
  return !text.empty();
}

Result<Value> FindIn(std::string_view name, const std::string& text, const std::string& what) {
  const size_t at = name == "rfind" ? text.rfind(what) : text.find(what);
  if (name == "index" && at == text.npos) return Err("index: substring not found");
  if (at == text.npos) return Value::Int(-1);
  return Value::Int(strings::CountCharacters(std::string_view(text).substr(0, at)));
}

int64_t CountIn(std::string_view text, std::string_view what) {
  if (what.empty()) return strings::CountCharacters(text) + 1;
  int64_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++n;
  return n;
}

Result<std::string> TitleCase(std::string_view text) {
  TRY_ASSIGN(std::string result, strings::Lower(text));
  bool in_word = false;
  for (char& c : result) {
    const bool letter = c >= 'a' && c <= 'z';
    if (letter && !in_word) c = static_cast<char>(c - 32);
    in_word = letter;
  }
  return result;
}

Result<Value> SplitMethod(std::string_view name, const std::string& text,
                          const Arguments& arguments) {
  TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"sep", "maxsplit"}, 0));
  TRY_ASSIGN(const auto separator, TextArgument(name, bound[0]));
  TRY_ASSIGN(const int64_t max, IntArgument(name, bound[1], -1));
  if (separator && separator->empty()) return Err("{}: an empty separator", name);
  const std::optional<std::string_view> at =
      separator ? std::optional<std::string_view>(*separator) : std::nullopt;
  return Texts(name == "split" ? strings::Split(text, at, max)
                               : strings::SplitFromRight(text, at, max));
}

Result<Value> CaseMethod(std::string_view name, const std::string& text) {
  Result<std::string> result = name == "upper"   ? strings::Upper(text)
                               : name == "lower" ? strings::Lower(text)
                               : name == "title" ? TitleCase(text)
                                                 : strings::Capitalize(text);
  if (!result) return std::unexpected(std::move(result).error());
  return Value::String(std::move(*result));
}

Result<Value> IsCase(std::string_view name, const std::string& text) {
  TRY_ASSIGN(const std::string same,
             name == "isupper" ? strings::Upper(text) : strings::Lower(text));
  TRY_ASSIGN(const std::string other,
             name == "isupper" ? strings::Lower(text) : strings::Upper(text));
  return Value::Bool(text == same && text != other);
}

Result<Value> TextMethod(const std::string& text, std::string_view name,
                         const Arguments& arguments) {
  if (name == "split" || name == "rsplit") return SplitMethod(name, text, arguments);
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"chars"}, 0));
    TRY_ASSIGN(const auto characters, TextArgument(name, bound[0]));
    const std::optional<std::string_view> set =
        characters ? std::optional<std::string_view>(*characters) : std::nullopt;
    return Value::String(
        std::string(strings::Strip(text, name != "rstrip", name != "lstrip", set)));
  }
  if (name == "replace") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"old", "new", "count"}, 2));
    TRY_ASSIGN(const auto from, TextArgument(name, bound[0]));
    TRY_ASSIGN(const auto to, TextArgument(name, bound[1]));
    TRY_ASSIGN(const int64_t max, IntArgument(name, bound[2], -1));
    if (!from || !to) return Err("replace: expected two strings");
    TRY_ASSIGN(std::string result, strings::Replace(text, *from, *to, max));
    return Value::String(std::move(result));
  }
  if (name == "splitlines") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"keepends"}, 0));
    return Texts(strings::SplitLines(text, BoolArgument(bound[0], false)));
  }
  if (name == "join") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"iterable"}, 1));
    TRY_ASSIGN(const std::vector<Value> items, Items(*bound[0]));
    for (const Value& item : items)
      if (item.text() == nullptr) return Err("join: expected strings, found {}", item.TypeName());
    TRY_ASSIGN(std::string result, Join(items, text));
    return Value::String(std::move(result));
  }
  if (name == "startswith" || name == "endswith") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"prefix"}, 1));
    TRY_ASSIGN(const bool holds, StartsOrEnds(name, text, *bound[0]));
    return Value::Bool(holds);
  }
  const bool takes_text = name == "find" || name == "rfind" || name == "index" || name == "count" ||
                          name == "removeprefix" || name == "removesuffix";
  if (takes_text) {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"text"}, 1));
    TRY_ASSIGN(const auto what, TextArgument(name, bound[0]));
    if (!what) return Err("{}: expected a str, found None", name);
    if (name == "count") return Value::Int(CountIn(text, *what));
    if (name == "removeprefix")
      return Value::String(text.starts_with(*what) ? text.substr(what->size()) : text);
    if (name == "removesuffix")
      return Value::String(text.ends_with(*what) ? text.substr(0, text.size() - what->size())
                                                 : text);
    return FindIn(name, text, *what);
  }
  TRY(Bind(name, arguments, {}, 0));
  if (name == "isspace") return Value::Bool(AllCharacters(text, strings::IsSpace));
  if (name == "isupper" || name == "islower") return IsCase(name, text);
  if (name == "isdigit") {
    if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }))
      return Err("isdigit: only ASCII is supported");
    return Value::Bool(
        AllCharacters(text, [](std::string_view c) { return c >= "0" && c <= "9"; }));
  }
  return CaseMethod(name, text);
}

Result<Value> MarkupMethod(const Value& self, std::string_view name, Arguments arguments) {
  if (name == "join" && arguments.positional.size() == 1) {
    TRY_ASSIGN(std::vector<Value> items, Items(arguments.positional[0]));
    for (Value& item : items) {
      TRY_ASSIGN(item, Escaped(item));
    }
    TRY_ASSIGN(arguments.positional[0], Value::List(std::move(items)));
  } else if (name == "replace" && arguments.positional.size() > 1) {
    TRY_ASSIGN(arguments.positional[1], Escaped(arguments.positional[1]));
  }
  TRY_ASSIGN(const Value result, TextMethod(*self.text(), name, arguments));
  if (result.text() != nullptr) return Value::Safe(*result.text());
  std::vector<Value> parts;
  for (const Value& part : result.sequence()->items) parts.push_back(Value::Safe(*part.text()));
  return Value::List(std::move(parts));
}

Result<Value> MappingMethod(const Mapping& mapping, std::string_view name,
                            const Arguments& arguments) {
  if (name == "get") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"key", "default"}, 1));
    const Value* found = mapping.Find(*bound[0]);
    return found != nullptr ? *found : bound[1].value_or(Value::NoneValue());
  }
  TRY(Bind(name, arguments, {}, 0));
  std::vector<Value> items;
  for (const auto& [key, value] : mapping.entries) {
    if (name != "items") {
      items.push_back(name == "keys" ? key : value);
      continue;
    }
    TRY_ASSIGN(Value pair, Value::Tuple({key, value}));
    items.push_back(std::move(pair));
  }
  return Value::View(std::move(items));
}

Result<Value> ListMethod(const Sequence& sequence, std::string_view name,
                         const Arguments& arguments) {
  TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"value"}, 1));
  const auto is_it = [&](const Value& item) { return Equal(item, *bound[0]); };
  if (name == "count") return Value::Int(std::ranges::count_if(sequence.items, is_it));
  const auto found = std::ranges::find_if(sequence.items, is_it);
  if (found == sequence.items.end()) return Err("index: the value is not in the {}", "list");
  return Value::Int(found - sequence.items.begin());
}

}  // namespace

Result<Value> Attribute(const Value& value, const std::string& name) {
  if (value.is_undefined()) return Err("{} has no attribute \"{}\"", value.TypeName(), name);
  std::span<const std::string_view> methods, others;
  if (value.text() != nullptr) {
    methods = kTextMethods;
    others = kOtherTextMethods;
  } else if (value.mapping() != nullptr) {
    methods = kMappingMethods;
    others = kOtherMappingMethods;
  } else if (value.sequence() != nullptr) {
    if (value.sequence()->indexable()) methods = kListMethods;
    if (value.sequence()->kind == Sequence::Kind::kList) others = kOtherListMethods;
  }
  if (Has(methods, name)) return Method(value, name);
  if (Has(others, name))
    return Err("the method \"{}\" of a {} is not supported", name, value.TypeName());
  if (value.mapping() != nullptr || value.name_space() != nullptr)
    return Item(value, Value::String(name));
  return Value::UndefinedNamed(name);
}

Result<Value> CallMethod(const Value& self, std::string_view name, const Arguments& arguments) {
  if (self.text() != nullptr) {
    if (name == "format") return BraceFormat(self, arguments);
    if (self.is_markup() && Has(kMarkupMethods, name)) return MarkupMethod(self, name, arguments);
    return TextMethod(*self.text(), name, arguments);
  }
  if (self.mapping() != nullptr) return MappingMethod(*self.mapping(), name, arguments);
  return ListMethod(*self.sequence(), name, arguments);
}

}  // namespace merope::jinja

#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/mapped_file.h"

namespace merope {
namespace {

constexpr int kMaxDepth = 256;

// Returns whether brackets outside strings nest deeper than kMaxDepth. If text is not JSON, the
// result has no meaning.
bool TooDeep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

size_t SkipSpace(std::string_view json, size_t at) {
  return std::min(json.find_first_not_of(" \t\r\n", at), json.size());
}

// Returns the end of the value that begins at `at`.
size_t ValueEnd(std::string_view json, size_t at) {
  if (const char first = json[at]; first != '"' && first != '{' && first != '[')
    return std::min(json.find_first_of(",]} \t\r\n", at), json.size());
  int depth = 0;
  do {
    const char c = json[at++];
    if (c == '"') {
      while (json[at] != '"') at += json[at] == '\\' ? 2 : 1;
      ++at;
    }
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
  } while (depth > 0);
  return at;
}

}  // namespace

Result<Json> ParseJson(std::string_view text, const std::string& file) {
  // This check runs before the parser. If a parser callback checked the depth instead, parsing
  // would take 1.5 times as long.
  if (TooDeep(text)) return Err("{}: JSON nested deeper than {} levels", file, kMaxDepth);
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    std::string_view what =
        error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    if (const size_t end = what.find("] "); end != what.npos) what.remove_prefix(end + 2);
    return Err("{}: invalid JSON: {}", file, what.substr(0, 300));
  }
}

Result<Json> ReadJsonFile(const std::string& path) {
  TRY_ASSIGN(const std::string text, ReadFile(path));
  return ParseJson(text, path);
}

std::optional<int64_t> WholeNumber(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    return std::in_range<int64_t>(number) ? std::optional(static_cast<int64_t>(number))
                                          : std::nullopt;
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  const double number = value.is_number() ? value.get<double>() : 0.5;
  const bool whole = std::nearbyint(number) == number && std::abs(number) < 0x1p63;
  return whole ? std::optional(static_cast<int64_t>(number)) : std::nullopt;
}

std::string_view RawMember(std::string_view object, std::string_view name) {
  std::string_view found;
  size_t at = SkipSpace(object, object.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  if (object[at] != '{') return found;
  at = SkipSpace(object, at + 1);
  while (object[at] != '}') {
    const size_t key_end = ValueEnd(object, at);
    const std::string_view key = object.substr(at, key_end - at);
    const size_t value = SkipSpace(object, SkipSpace(object, key_end) + 1);
    at = ValueEnd(object, value);
    if (key.contains('\\') ? Json::parse(key) == name : key.substr(1, key.size() - 2) == name)
      found = object.substr(value, at - value);
    at = SkipSpace(object, at);
    if (object[at] == ',') at = SkipSpace(object, at + 1);
  }
  return found;
}

const Json* JsonFields::Find(const char* field) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(field);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string JsonFields::Path(const char* field) const {
  return where_.empty() ? field : where_ + "." + field;
}

template <class... Args>
std::unexpected<Error> JsonFields::Fault(const char* field, fmt::format_string<Args...> format,
                                         Args&&... args) const {
  return std::unexpected(
      Error{.message = fmt::format("{}{}{}: {}", where_, where_.empty() ? "" : ": ", field,
                                   fmt::format(format, std::forward<Args>(args)...)),
            .field = Path(field)});
}

bool JsonFields::Has(const char* field) const { return Find(field) != nullptr; }

bool JsonFields::Contains(const char* field) const { return object_.contains(field); }

Result<std::optional<int64_t>> JsonFields::Integer(const char* field, int64_t min,
                                                   int64_t max) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = WholeNumber(*value);
  if (!number || *number < min || *number > max)
    return Fault(field, "expected a whole number from {} to {}, found {}", min, max,
                 Describe(*value));
  return number;
}

Result<std::optional<double>> JsonFields::Number(const char* field) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return Fault(field, "expected a number, found {}", Describe(*value));
  return value->get<double>();
}

Result<std::optional<bool>> JsonFields::Bool(const char* field) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean())
    return Fault(field, "expected true or false, found {}", Describe(*value));
  return value->get<bool>();
}

Result<std::optional<std::string>> JsonFields::String(const char* field) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return Fault(field, "expected a string, found {}", Describe(*value));
  return value->get<std::string>();
}

std::string DumpJson(const OrderedJson& value, int indent) {
  return value.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string Describe(const Json& value) {
  constexpr size_t kMaxLength = 80;
  if (value.is_object()) return "an object";
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxLength) text = text.substr(0, kMaxLength) + "…";
  return value.is_string() ? "the string " + text : text;
}

}  // namespace merope

#include "base/json.h"

#include <cmath>

#include "base/mapped_file.h"

namespace merope {
namespace {

constexpr int kMaxDepth = 256;

// Whether brackets open further than they may, strings left out. Of text that is no JSON it may say
// either.
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

}  // namespace

Result<Json> ParseJson(std::string_view text, const std::string& file) {
  // Before it is parsed: a callback that watches the depth makes the parser take half as long
  // again.
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

const Json* JsonFields::Find(const char* field) const {
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(field);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool JsonFields::Has(const char* field) const { return Find(field) != nullptr; }

Result<std::optional<int64_t>> JsonFields::Integer(const char* field, int64_t min,
                                                   int64_t max) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  const bool whole =
      value->is_number_integer() ||
      (value->is_number_float() && std::nearbyint(value->get<double>()) == value->get<double>());
  const double approximate = value->is_number() ? value->get<double>() : 0;
  if (!whole || approximate < static_cast<double>(min) || approximate > static_cast<double>(max))
    return Err("{}: {}: expected a whole number from {} to {}, found {}", where_, field, min, max,
               Describe(*value));
  return value->is_number_integer() ? value->get<int64_t>() : static_cast<int64_t>(approximate);
}

Result<std::optional<double>> JsonFields::Number(const char* field) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number())
    return Err("{}: {}: expected a number, found {}", where_, field, Describe(*value));
  return value->get<double>();
}

Result<std::optional<bool>> JsonFields::Bool(const char* field) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean())
    return Err("{}: {}: expected true or false, found {}", where_, field, Describe(*value));
  return value->get<bool>();
}

Result<std::optional<std::string>> JsonFields::String(const char* field) const {
  const Json* value = Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string())
    return Err("{}: {}: expected a string, found {}", where_, field, Describe(*value));
  return value->get<std::string>();
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

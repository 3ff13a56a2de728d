#include "serve/fields.h"

namespace merope {
namespace {

bool AsksForNothing(const Json& value) {
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    return text.empty() || text == "none" || text == "auto";
  }
  if (value.is_structured()) return value.empty();
  return value == false || value == 0;
}

std::string Name(const JsonFields& fields, const char* field) {
  return fields.where().empty() ? field : fields.where() + "." + field;
}

}  // namespace

Result<std::optional<std::vector<std::string>>> Strings(const JsonFields& fields,
                                                        const char* field) {
  const Json* value = fields.Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array())
    return Err("{}: expected an array of strings, found {}", Name(fields, field), Describe(*value));
  std::vector<std::string> strings;
  for (const Json& entry : *value) {
    if (!entry.is_string())
      return Err("{}[{}]: expected a string, found {}", Name(fields, field), strings.size(),
                 Describe(entry));
    strings.push_back(entry.get<std::string>());
  }
  return strings;
}

Result<std::optional<std::vector<int32_t>>> TokenIds(const JsonFields& fields, const char* field) {
  const Json* value = fields.Find(field);
  if (value == nullptr) return std::nullopt;
  return TokenIds(*value, Name(fields, field));
}

Result<std::vector<int32_t>> TokenIds(const Json& array, const std::string& where) {
  if (!array.is_array())
    return Err("{}: expected an array of token ids, found {}", where, Describe(array));
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const Json& entry : array) {
    const std::optional<int64_t> id = WholeNumber(entry);
    if (!id || *id < 0 || !std::in_range<int32_t>(*id))
      return Err("{}[{}]: expected a token id, found {}", where, ids.size(), Describe(entry));
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

Status RefuseUnsupported(const JsonFields& fields, std::span<const char* const> unsupported) {
  for (const char* field : unsupported)
    if (const Json* value = fields.Find(field); value != nullptr && !AsksForNothing(*value))
      return Err("{}: not supported, found {}", Name(fields, field), Describe(*value));
  return {};
}

}  // namespace merope

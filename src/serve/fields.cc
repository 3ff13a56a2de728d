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

}  // namespace

Result<std::optional<std::vector<std::string>>> Strings(const JsonFields& fields,
                                                        const char* field) {
  const Json* value = fields.Find(field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array())
    return FieldErr(fields.Path(field), "expected an array of strings, found {}", Describe(*value));
  std::vector<std::string> strings;
  for (const Json& entry : *value) {
    if (!entry.is_string())
      return FieldErr(fmt::format("{}[{}]", fields.Path(field), strings.size()),
                      "expected a string, found {}", Describe(entry));
    strings.push_back(entry.get<std::string>());
  }
  return strings;
}

Result<std::optional<std::vector<int32_t>>> TokenIds(const JsonFields& fields, const char* field) {
  const Json* value = fields.Find(field);
  if (value == nullptr) return std::nullopt;
  return TokenIds(*value, fields.Path(field));
}

Result<std::vector<int32_t>> TokenIds(const Json& array, const std::string& where) {
  if (!array.is_array())
    return FieldErr(where, "expected an array of token ids, found {}", Describe(array));
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const Json& entry : array) {
    const std::optional<int64_t> id = WholeNumber(entry);
    if (!id || *id < 0 || !std::in_range<int32_t>(*id))
      return FieldErr(fmt::format("{}[{}]", where, ids.size()), "expected a token id, found {}",
                      Describe(entry));
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

Status RefuseUnsupported(const JsonFields& fields, std::span<const char* const> unsupported) {
  for (const char* field : unsupported)
    if (const Json* value = fields.Find(field); value != nullptr && !AsksForNothing(*value))
      return FieldErr(fields.Path(field), "not supported, found {}", Describe(*value));
  return {};
}

}  // namespace merope

// Reading a request's fields into typed values. Errors begin with the field.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace merope {

// The value that was found, if any; else *value stays as it is.
template <class T, class Value>
Status Set(Result<std::optional<T>> found, Value* value) {
  if (!found) return std::unexpected(std::move(found).error());
  if (*found) {
    T& given = **found;
    *value = std::move(given);
  }
  return {};
}

// An array of strings.
Result<std::optional<std::vector<std::string>>> Strings(const JsonFields& fields,
                                                        const char* field);
// An array of token ids; whether the vocabulary has them, the engine says.
Result<std::optional<std::vector<int32_t>>> TokenIds(const JsonFields& fields, const char* field);
Result<std::vector<int32_t>> TokenIds(const Json& array, const std::string& where);

// An error naming the first of the fields that asks for something: null, false, 0, "", "none",
// "auto" and what is empty do not.
Status RefuseUnsupported(const JsonFields& fields, std::span<const char* const> unsupported);

}  // namespace merope

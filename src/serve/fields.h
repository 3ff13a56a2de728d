// Reads the fields of a request into typed values. Errors begin with the name of the field. Called
// by the parsers of a request, on any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace merope {

// Moves a found value into *value. Leaves *value unchanged if the field is absent. Returns the
// error of found, if there is one.
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
// An array of token ids. The engine checks whether the vocabulary contains them.
Result<std::optional<std::vector<int32_t>>> TokenIds(const JsonFields& fields, const char* field);
Result<std::vector<int32_t>> TokenIds(const Json& array, const std::string& where);

// Returns an error that names the first unsupported field with an effective value. The values null,
// false, 0, "", "none", "auto", and empty arrays and objects have no effect and are accepted.
Status RefuseUnsupported(const JsonFields& fields, std::span<const char* const> unsupported);

}  // namespace merope

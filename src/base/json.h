// JSON at the edges: parsing with errors that name the file, and typed look-ups that name the
// field. The one place where the JSON library's exceptions are caught. JSON values never travel
// further in than the reader that parsed them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

using Json = nlohmann::json;

// Refuses invalid JSON and invalid UTF-8, and nesting deeper than 256; the error says where in the
// file.
Result<Json> ParseJson(std::string_view text, const std::string& file);
// ReadFile, then ParseJson.
Result<Json> ReadJsonFile(const std::string& path);

// nullopt for what is no whole number, or none that int64_t holds. 2.0 is one.
std::optional<int64_t> WholeNumber(const Json& value);

// The text of the value of this name in a JSON object's text, which ParseJson took: the last of
// them, empty where there is none. For what is handed on, and depends on the order of its members,
// which Json does not keep.
std::string_view RawMember(std::string_view object, std::string_view name);

// A JSON object of a file, for reading fields. Get…: nullopt where the field is absent or null, an
// error naming file and field where it has another type (or, for integers, does not lie in [min,
// max]).
class JsonFields {
 public:
  // where: the file, and for an object inside it the path to it ("config.json: rope_scaling");
  // empty, errors begin with the field.
  JsonFields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool Has(const char* field) const;
  Result<std::optional<int64_t>> Integer(const char* field, int64_t min, int64_t max) const;
  Result<std::optional<double>> Number(const char* field) const;
  Result<std::optional<bool>> Bool(const char* field) const;
  Result<std::optional<std::string>> String(const char* field) const;
  // The value as it is; nullptr where absent or null.
  const Json* Find(const char* field) const;
  const std::string& where() const { return where_; }

 private:
  std::string Place(const char* field) const;

  const Json& object_;
  std::string where_;
};

// "an object", "the string \"x\"", … for messages that say what was found; long values are cut.
std::string Describe(const Json& value);

}  // namespace merope

// A JSON value is no argument of a message: its implicit conversion to a string throws for values of
// other types. Describe makes text of a value of any type.
template <>
struct fmt::formatter<merope::Json> {
  formatter() = delete;
};

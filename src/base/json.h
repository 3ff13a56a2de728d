// Parses JSON, with errors that name the file, and looks up fields of a given type, with errors
// that name the field. The readers of files and requests call these functions. Only json.cc catches
// the exceptions of the JSON library. A reader does not pass JSON values on to the inner layers.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

using Json = nlohmann::json;
// Keeps the order of an object's members.
using OrderedJson = nlohmann::ordered_json;

// The text of a value, with U+FFFD in place of bytes that are not UTF-8. indent: -1 writes one
// line.
std::string DumpJson(const OrderedJson& value, int indent = -1);

// Invalid JSON, invalid UTF-8 and nesting deeper than 256 levels are errors. The error names the
// place in the file.
Result<Json> ParseJson(std::string_view text, const std::string& file);
// ReadFile, then ParseJson.
Result<Json> ReadJsonFile(const std::string& path);

// Returns nullopt if value is not a whole number, or if int64_t cannot hold the number. 2.0 is a
// whole number.
std::optional<int64_t> WholeNumber(const Json& value);

// object: the text of a JSON object that ParseJson has accepted. Returns the text of the value of
// the last member of this name, or an empty text if there is no such member. The callers pass this
// text on to code that depends on the order of the members; Json does not keep that order.
std::string_view RawMember(std::string_view object, std::string_view name);

// Reads the fields of a JSON object. Integer, Number, Bool and String return nullopt if the field
// is absent or null. They return an error that names the file and the field if the field has
// another type, or if an integer is outside [min, max].
class JsonFields {
 public:
  // where: the file, and for an inner object also the path to the object ("config.json:
  // rope_scaling"). If where is empty, errors begin with the field.
  JsonFields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool Has(const char* field) const;       // false for null
  bool Contains(const char* field) const;  // true for null
  Result<std::optional<int64_t>> Integer(const char* field, int64_t min, int64_t max) const;
  Result<std::optional<double>> Number(const char* field) const;
  Result<std::optional<bool>> Bool(const char* field) const;
  Result<std::optional<std::string>> String(const char* field) const;
  // Returns the value unchanged, or nullptr if the field is absent or null.
  const Json* Find(const char* field) const;
  const std::string& where() const { return where_; }
  // Returns where and the field's name, joined by a dot, for errors: "a.b".
  std::string Path(const char* field) const;

 private:
  template <class... Args>
  std::unexpected<Error> Fault(const char* field, fmt::format_string<Args...> format,
                               Args&&... args) const;

  const Json& object_;
  std::string where_;
};

// Returns "an object", "the string \"x\"", …, for error messages that name the found value. Long
// values are cut.
std::string Describe(const Json& value);

}  // namespace merope

// A JSON value is no argument of a message: its implicit conversion to a string throws for values
// of other types. Describe makes text of a value of any type.
template <>
struct fmt::formatter<merope::Json> {
  formatter() = delete;
};

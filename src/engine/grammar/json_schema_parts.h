// What a JSON schema's compiler asks of schemas as such: references resolved, several schemas made
// one, whether two exclude each other. Pure functions of a document and what it holds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "engine/grammar/regular.h"
#include "engine/grammar/work.h"

namespace merope {

// In the schema's own order.
using OrderedJson = nlohmann::ordered_json;

// A schema's text as a document: every reference that begins with # is a pointer from the root,
// whatever $id it stands in, and what a dialect does not look at is gone.
Result<OrderedJson> SchemaDocument(std::string_view text);

class SchemaParts {
 public:
  SchemaParts(const OrderedJson& document, CompileWork* work) : document_(document), work_(*work) {}

  // Counts what going through the value takes, the names of an object looked up one by one. Errors:
  // too much, or nested too deep.
  Status Count(const OrderedJson& value) const;

  // What a $ref points to ("#", "#/$defs/name").
  Result<const OrderedJson*> Resolve(const OrderedJson& reference) const;
  // The same schema in plain form: references and schemas that must all hold are one, but for those
  // of properties, of which allOf keeps a list (PropertyParts); a list of items is prefixItems; and
  // unevaluated… has become additionalProperties and items, unless anyOf or oneOf have to be gone
  // through first. Errors: keywords cannot be brought together.
  Result<OrderedJson> Plain(const OrderedJson& schema, int depth = 0) const;
  // The documents that are valid for both; plain.
  Result<OrderedJson> Merge(const OrderedJson& first, const OrderedJson& second,
                            int depth = 0) const;
  // One choice of an anyOf or oneOf, and what a plain schema says beside it; plain.
  Result<OrderedJson> Choose(const OrderedJson& beside, const OrderedJson& choice) const;
  // Whether surely no document is valid for both.
  bool Exclusive(const OrderedJson& first, const OrderedJson& second, int depth = 0) const;

 private:
  const OrderedJson& document_;
  CompileWork& work_;
};

// All of properties, patternProperties and additionalProperties that a plain schema's objects must
// fit, each without the others: a name that one of them leaves to its additionalProperties may be
// known to another.
std::vector<OrderedJson> PropertyParts(const OrderedJson& schema);
// A schema that says both.
OrderedJson BothOf(const OrderedJson& first, const OrderedJson& second);

// The types that a document valid for the schema may have, of JSON's; an integer is a number, too.
Result<std::vector<std::string>> TypesOf(const OrderedJson& schema);
// Whether types of these names have a document in common.
bool TypesMeet(const std::string& a, const std::string& b);
// Whether a keyword restricts documents: others are annotations, or known to nobody.
bool SaysSomething(std::string_view keyword);
// The type of the documents that a keyword speaks of; empty where of any.
std::string_view TypeOfKeyword(std::string_view keyword);
// "null", "boolean", "object", "array", "number", "string", or "integer" for a number without
// fraction.
std::string TypeOf(const OrderedJson& value);
// The values of enum or const; none where there is neither.
std::vector<OrderedJson> Values(const OrderedJson& schema);
// The same for values that are equal as JSON: in any order of properties, 1 and 1.0.
std::string Canonical(const OrderedJson& value);
// The strings that a "format" allows. Errors: an unknown one.
Result<Regular::Term> FormatLanguage(const std::string& format, Regular* regular);

}  // namespace merope

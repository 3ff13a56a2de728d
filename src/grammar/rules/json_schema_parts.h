// Operations on JSON schemas for SchemaCompiler: resolve references, merge several schemas into
// one, and decide whether two schemas exclude each other. Pure functions of a document and its
// schemas. The thread that compiles the grammar calls them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "grammar/rules/regular.h"
#include "grammar/rules/work.h"

namespace merope {

// Parses the text of a schema. In the document, every reference that begins with # is a pointer
// from the root, whatever $id the reference stands in. Keywords that a dialect ignores are removed.
Result<OrderedJson> SchemaDocument(std::string_view text);

class SchemaParts {
 public:
  SchemaParts(const OrderedJson& document, CompileWork* work) : document_(document), work_(*work) {}

  // Spends the work of walking through the value. An object costs more, because each of its names
  // is looked up by a search. Errors: the work is spent, or the value is nested too deep.
  Status Count(const OrderedJson& value) const;

  // The target of a $ref ("#", "#/$defs/name").
  Result<const OrderedJson*> Resolve(const OrderedJson& reference) const;
  // The same schema in plain form. References, and schemas that must all hold, are merged into one
  // schema. Schemas of properties are an exception: allOf keeps a list of them (PropertyParts). A
  // list of items is in prefixItems. The unevaluated… keywords become additionalProperties and
  // items, unless an anyOf or oneOf must be resolved first. Errors: keywords cannot be merged.
  Result<OrderedJson> Plain(const OrderedJson& schema, int depth = 0) const;
  // A plain schema for the documents that are valid for both.
  Result<OrderedJson> Merge(const OrderedJson& first, const OrderedJson& second,
                            int depth = 0) const;
  // A plain schema that merges one choice of an anyOf or oneOf with the plain schema beside the
  // choice.
  Result<OrderedJson> Choose(const OrderedJson& beside, const OrderedJson& choice) const;
  // True if no document can be valid for both, or if the work is spent. False if this is not
  // certain.
  bool Exclusive(const OrderedJson& first, const OrderedJson& second, int depth = 0) const;

 private:
  const OrderedJson& document_;
  CompileWork& work_;
};

// The groups of properties, patternProperties and additionalProperties in a plain schema. Each
// object must satisfy every group separately: a name that falls under additionalProperties in one
// group may be known in another group.
std::vector<OrderedJson> PropertyParts(const OrderedJson& schema);
// A schema for the documents that are valid for both.
OrderedJson BothOf(const OrderedJson& first, const OrderedJson& second);

// The JSON types that a valid document of the schema may have. An integer is also a number.
Result<std::vector<std::string>> TypesOf(const OrderedJson& schema);
// True if a document can have both types.
bool TypesMeet(const std::string& a, const std::string& b);
// True if a keyword restricts documents. Other keywords are annotations or unknown.
bool SaysSomething(std::string_view keyword);
// The type of the documents that a keyword restricts. Empty if the keyword is not for one type.
std::string_view TypeOfKeyword(std::string_view keyword);
// "null", "boolean", "object", "array", "number", "string", or "integer" for a number without a
// fraction.
std::string TypeOf(const OrderedJson& value);
// The values of enum or const. Empty if the schema has neither.
std::vector<OrderedJson> Values(const OrderedJson& schema);
// A text that is the same for values that are equal as JSON: the order of properties does not
// count, and 1 equals 1.0.
std::string Canonical(const OrderedJson& value);
// The strings that a "format" allows. Errors: the format is unknown.
Result<Regular::Term> FormatLanguage(const std::string& format, Regular* regular);

}  // namespace merope

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

class SchemaParts {
 public:
  SchemaParts(const OrderedJson& document, Work* work) : document_(document), work_(*work) {}

  // Counts what going through the value takes, the names of an object looked up one by one. Errors:
  // too much, or nested too deep.
  Status Count(const OrderedJson& value) const;

  // What a $ref points to ("#", "#/$defs/name").
  Result<const OrderedJson*> Resolve(const OrderedJson& reference) const;
  // The schema of the documents that are valid for both, references at their top replaced. Errors:
  // a keyword of theirs cannot be brought together.
  Result<OrderedJson> Merge(const OrderedJson& first, const OrderedJson& second,
                            int depth = 0) const;
  // Whether surely no document is valid for both.
  bool Exclusive(const OrderedJson& first, const OrderedJson& second, int depth = 0) const;

 private:
  Result<OrderedJson> Flat(const OrderedJson& schema, int depth) const;
  const OrderedJson& document_;
  Work& work_;
};

// The types that a document valid for the schema may have, of JSON's; an integer is a number, too.
Result<std::vector<std::string>> TypesOf(const OrderedJson& schema);
// Whether a keyword restricts documents: others are annotations, or known to nobody.
bool SaysSomething(std::string_view keyword);
// "null", "boolean", "object", "array", "number", "string", or "integer" for a number without
// fraction.
std::string TypeOf(const OrderedJson& value);
// The strings that a "format" allows. Errors: an unknown one.
Result<Regular::Term> FormatLanguage(const std::string& format, Regular* regular);

}  // namespace merope

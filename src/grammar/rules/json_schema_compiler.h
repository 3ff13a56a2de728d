// Converts one JSON schema to rules (json_schema.cc and json_schema_object.cc). Each SchemaCompiler
// converts one schema, on one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "grammar/rules/json_object.h"
#include "grammar/rules/json_schema_parts.h"
#include "grammar/rules/json_text.h"
#include "grammar/rules/regular.h"
#include "grammar/rules/rules.h"

namespace merope {

class SchemaCompiler {
 public:
  // The document must outlive the compiler.
  explicit SchemaCompiler(const OrderedJson& document) : parts_(document, &regular_.work()) {
    rules_.root = RuleOf(document, "");
  }
  Result<Rules> Compile();

 private:
  // A schema that waits for the alternatives of its rule. A queue holds these schemas, so nested
  // schemas and chains of references do not take more of the stack.
  struct Pending {
    OrderedJson schema;
    RuleId rule;
    std::string where;
  };
  // The rule of a schema. Equal schemas have one rule. Compile fills in the rule later.
  RuleId RuleOf(const OrderedJson& schema, const std::string& where);
  std::string Below(std::string_view keyword) const;

  // Adds the documents that the schema allows as alternatives of the rule.
  Status Fill(RuleId rule, const OrderedJson& schema);
  Status Become(RuleId rule, RuleId other);
  Status FillChoice(RuleId rule, const OrderedJson& schema, const std::string& keyword);
  // Returns an error if one document may be valid for two choices of oneOf.
  Status CheckExclusive(const OrderedJson& choices);
  Status FillValues(RuleId rule, const OrderedJson& schema);
  Status FillType(RuleId rule, const OrderedJson& schema, const std::string& type);
  Status FillNumber(RuleId rule, const OrderedJson& schema, const std::string& type);
  Status FillArray(RuleId rule, const OrderedJson& schema);
  Status FillObject(RuleId rule, const OrderedJson& schema);
  struct NamedPart;
  Result<std::vector<NamedPart>> NamedParts(const OrderedJson& schema);
  // The schema for the value of a property with this name.
  OrderedJson ValueOf(const std::string& name, const std::vector<NamedPart>& parts);
  // Adds the properties with these names to *shape. Names that no pattern matches are added only if
  // `unmatched` is true.
  Status AddOthers(Regular::Term names, const std::vector<NamedPart>& parts, bool unmatched,
                   ObjectShape* shape);

  Result<Regular::Term> Strings(const OrderedJson& schema);
  // The names that "propertyNames" allows.
  Result<Regular::Term> NameLanguage(const OrderedJson& schema);

  Regular regular_;
  SchemaParts parts_;
  Rules rules_;
  JsonText text_{&regular_, &rules_};
  std::map<std::string, RuleId> known_;
  std::deque<Pending> pending_;
  std::string where_;
};

// The value of a keyword that counts items, properties or characters. nullopt if the schema does
// not have the keyword.
Result<std::optional<int64_t>> CountOf(const OrderedJson& schema, const char* keyword);

}  // namespace merope

// A JSON schema on its way to rules: json_schema.cc and json_schema_object.cc. Used by one thread,
// once.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/grammar/json_object.h"
#include "engine/grammar/json_schema_parts.h"
#include "engine/grammar/json_text.h"
#include "engine/grammar/regular.h"
#include "engine/grammar/rules.h"

namespace merope {

class SchemaCompiler {
 public:
  // The document must outlive it.
  explicit SchemaCompiler(const OrderedJson& document) : parts_(document, &regular_.work()) {
    rules_.root = RuleOf(document, "");
  }
  Result<Rules> Compile();

 private:
  // Schemas wait in a queue for their rules, so that no nesting, and no chain of references, takes
  // more of the stack.
  struct Pending {
    OrderedJson schema;
    RuleId rule;
    std::string where;
  };
  // The rule of a schema, equal ones having one; filled in later.
  RuleId RuleOf(const OrderedJson& schema, const std::string& where);
  std::string Below(std::string_view keyword) const;

  // What the schema allows becomes alternatives of the rule.
  Status Fill(RuleId rule, const OrderedJson& schema);
  Status Become(RuleId rule, RuleId other);
  Status FillChoice(RuleId rule, const OrderedJson& schema, const std::string& keyword);
  // An error where two choices of oneOf may both be valid.
  Status CheckExclusive(const OrderedJson& choices);
  Status FillValues(RuleId rule, const OrderedJson& schema);
  Status FillType(RuleId rule, const OrderedJson& schema, const std::string& type);
  Status FillNumber(RuleId rule, const OrderedJson& schema, const std::string& type);
  Status FillArray(RuleId rule, const OrderedJson& schema);
  Status FillObject(RuleId rule, const OrderedJson& schema);
  struct NamedPart;
  Result<std::vector<NamedPart>> NamedParts(const OrderedJson& schema);
  // What the value of a property of this name must be.
  OrderedJson ValueOf(const std::string& name, const std::vector<NamedPart>& parts);
  // The properties of these names, those that no pattern matches only if asked for.
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

// A keyword's count of items, properties or characters.
Result<std::optional<int64_t>> CountOf(const OrderedJson& schema, const char* keyword);

}  // namespace merope

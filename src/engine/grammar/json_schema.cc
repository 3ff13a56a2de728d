#include "engine/grammar/json_schema.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/grammar/json_numbers.h"
#include "engine/grammar/json_schema_compiler.h"
#include "engine/grammar/regex.h"

namespace merope {
namespace {

constexpr int64_t kMaxCount = 4096;   // of items, properties, characters, where they are bounded
constexpr size_t kMaxSchemas = 4096;  // different ones in a document
constexpr int64_t kMaxRules = 32768;
constexpr size_t kMaxMembers = 8192;  // of one object of a schema

// Keywords that restrict documents and are not followed.
constexpr std::string_view kNotSupported[] = {
    "not",          "if",       "dependentRequired", "dependentSchemas",
    "dependencies", "contains", "$dynamicRef",       "$recursiveRef"};

Result<std::optional<double>> Bound(const OrderedJson& schema, const char* keyword) {
  const auto value = schema.find(keyword);
  if (value == schema.end()) return std::nullopt;
  if (!value->is_number()) return Err("{}: expected a number, found {}", keyword, value->dump());
  const double bound = value->get<double>();
  if (value->is_number_integer() && OrderedJson(static_cast<int64_t>(bound)) != *value) {
    return Err("{}: expected a number that a double holds, found {}", keyword, value->dump());
  }
  return bound;
}

// OrderedJson looks for each name among all of its object's.
bool TooManyMembers(const Json& value) {
  if (value.is_object() && value.size() > kMaxMembers) return true;
  return value.is_structured() && std::ranges::any_of(value, TooManyMembers);
}

}  // namespace

Result<std::optional<int64_t>> CountOf(const OrderedJson& schema, const char* keyword) {
  const auto value = schema.find(keyword);
  if (value == schema.end()) return std::nullopt;
  const double count = value->is_number() ? value->get<double>() : -1;
  if (count < 0 || count > kMaxCount || count != static_cast<double>(static_cast<int64_t>(count))) {
    return Err("{}: expected an integer from 0 to {}, found {}", keyword, kMaxCount, value->dump());
  }
  return static_cast<int64_t>(count);
}

Result<Rules> SchemaCompiler::Compile() {
  while (!pending_.empty()) {
    const Pending next = std::move(pending_.front());
    pending_.pop_front();
    where_ = next.where;
    TRY(regular_.work().Check());
    if (const Status done = Fill(next.rule, next.schema); !done) {
      if (where_.empty()) return std::unexpected(done.error());
      return Within(where_, done.error());
    }
    if (known_.size() > kMaxSchemas) return Err("more than {} different schemas", kMaxSchemas);
    if (static_cast<int64_t>(rules_.rules().size()) > kMaxRules) {
      return Err("too large: more than {} rules", kMaxRules);
    }
  }
  TRY(regular_.work().Check());
  return std::move(rules_);
}

RuleId SchemaCompiler::RuleOf(const OrderedJson& schema, const std::string& where) {
  regular_.work().Spend(std::ssize(where) / 8);
  if (!parts_.Count(schema)) return rules_.root;  // Compile says so
  const auto [known, is_new] = known_.try_emplace(schema.dump(), 0);
  if (is_new) {
    known->second = rules_.Add();
    pending_.push_back({schema, known->second, where});
  }
  return known->second;
}

std::string SchemaCompiler::Below(std::string_view keyword) const {
  return where_.empty() ? std::string(keyword) : fmt::format("{}/{}", where_, keyword);
}

Status SchemaCompiler::Fill(RuleId rule, const OrderedJson& schema) {
  if (schema == true) return Become(rule, text_.Value());
  if (schema == false) return {};
  if (!schema.is_object()) return Err("expected a schema, found {}", schema.dump());
  for (const std::string_view keyword : kNotSupported) {
    if (schema.contains(keyword)) return Err("\"{}\" is not supported", keyword);
  }
  std::vector<std::string> saying;
  for (const auto& [keyword, value] : schema.items()) {
    if (SaysSomething(keyword)) saying.push_back(keyword);
  }
  if (saying.empty()) return Become(rule, text_.Value());
  const auto reference = schema.find("$ref");
  if (reference != schema.end() && saying.size() == 1) {
    TRY_ASSIGN(const OrderedJson* target, parts_.Resolve(*reference));
    return Become(rule, RuleOf(*target, reference->get<std::string>()));
  }
  if (reference != schema.end() || schema.contains("allOf")) {
    TRY_ASSIGN(const OrderedJson merged, parts_.Merge(schema, OrderedJson(true)));
    return Become(rule, RuleOf(merged, where_));
  }
  for (const char* keyword : {"anyOf", "oneOf"}) {
    if (schema.contains(keyword)) return FillChoice(rule, schema, keyword);
  }
  if (schema.contains("const") || schema.contains("enum")) return FillValues(rule, schema);
  TRY_ASSIGN(const auto types, TypesOf(schema));
  for (const std::string& type : types) TRY(FillType(rule, schema, type));
  return {};
}

Status SchemaCompiler::Become(RuleId rule, RuleId other) {
  rules_[rule].alternatives.push_back({other});
  return {};
}

Status SchemaCompiler::FillChoice(RuleId rule, const OrderedJson& schema,
                                  const std::string& keyword) {
  const OrderedJson& choices = schema[keyword];
  if (!choices.is_array() || choices.empty()) return Err("{}: expected an array", keyword);
  OrderedJson beside = schema;
  beside.erase(keyword);
  const bool alone = std::ranges::none_of(
      beside.items(), [](const auto& item) { return SaysSomething(item.key()); });
  for (size_t i = 0; i < choices.size(); ++i) {
    const std::string where = Below(fmt::format("{}/{}", keyword, i));
    for (size_t j = 0; keyword == "oneOf" && j < i; ++j) {
      TRY(regular_.work().Check());
      if (parts_.Exclusive(choices[j], choices[i])) continue;
      return Err("oneOf: {} and {} may both be valid for a document; use anyOf", j, i);
    }
    if (alone) {
      TRY(Become(rule, RuleOf(choices[i], where)));
    } else {
      TRY_ASSIGN(const OrderedJson merged, parts_.Merge(beside, choices[i]));
      TRY(Become(rule, RuleOf(merged, where)));
    }
  }
  return {};
}

Status SchemaCompiler::FillValues(RuleId rule, const OrderedJson& schema) {
  for (const auto& [keyword, value] : schema.items()) {
    if (keyword == "const" || keyword == "enum" || keyword == "type") continue;
    if (SaysSomething(keyword)) return Err("\"{}\" beside const or enum is not supported", keyword);
  }
  OrderedJson values = OrderedJson::array();
  const auto list = schema.find("enum"), one = schema.find("const");
  if (list != schema.end()) {
    if (!list->is_array()) return Err("enum: expected an array, found {}", list->dump());
    values = *list;
  }
  if (one != schema.end()) {
    if (list != schema.end() && std::find(values.begin(), values.end(), *one) == values.end()) {
      return {};
    }
    values = OrderedJson::array({*one});
  }
  TRY_ASSIGN(const auto types, TypesOf(schema));
  for (const OrderedJson& value : values) {
    const std::string type = TypeOf(value);
    const bool allowed = std::ranges::any_of(types, [&](const std::string& known) {
      return known == type || (known == "number" && type == "integer");
    });
    if (allowed) rules_[rule].alternatives.push_back({value.dump()});
  }
  return {};
}

Status SchemaCompiler::FillType(RuleId rule, const OrderedJson& schema, const std::string& type) {
  if (type == "null") rules_[rule].alternatives.push_back({"null"});
  if (type == "boolean") {
    for (const char* value : {"true", "false"}) rules_[rule].alternatives.push_back({value});
  }
  if (type == "string") {
    TRY_ASSIGN(const Regular::Term language, Strings(schema));
    TRY_ASSIGN(const RuleId string, text_.String(language));
    return Become(rule, string);
  }
  if (type == "integer" || type == "number") return FillNumber(rule, schema, type);
  if (type == "array") return FillArray(rule, schema);
  if (type == "object") return FillObject(rule, schema);
  return {};
}

Result<Regular::Term> SchemaCompiler::Strings(const OrderedJson& schema) {
  Regular::Term language = regular_.Not(Regular::kNothing);
  for (const char* keyword : {"format", "pattern"}) {
    const auto value = schema.find(keyword);
    if (value == schema.end()) continue;
    if (!value->is_string()) return Err("{}: expected a string, found {}", keyword, value->dump());
    const auto& text = value->get_ref<const std::string&>();
    const auto part =
        keyword[0] == 'f' ? FormatLanguage(text, &regular_) : ParseSearchRegex(text, &regular_);
    if (!part) return keyword[0] == 'f' ? part : Within("pattern", part.error());
    language = regular_.Both(language, *part);
  }
  TRY_ASSIGN(const auto min, CountOf(schema, "minLength"));
  TRY_ASSIGN(const auto max, CountOf(schema, "maxLength"));
  if (min || max) {
    if (max && min.value_or(0) > *max) return Regular::kNothing;
    language =
        regular_.Both(language, regular_.Repeat(regular_.Set(CharSet::All()), min.value_or(0),
                                                max.value_or(Regular::kUnbounded)));
  }
  return language;
}

Status SchemaCompiler::FillNumber(RuleId rule, const OrderedJson& schema, const std::string& type) {
  NumberBounds bounds;
  TRY_ASSIGN(bounds.min, Bound(schema, "minimum"));
  TRY_ASSIGN(bounds.max, Bound(schema, "maximum"));
  TRY_ASSIGN(bounds.above, Bound(schema, "exclusiveMinimum"));
  TRY_ASSIGN(bounds.below, Bound(schema, "exclusiveMaximum"));
  TRY_ASSIGN(const auto multiple, Bound(schema, "multipleOf"));
  if (multiple) {
    if (*multiple < 1 || *multiple > 1000 || *multiple != static_cast<int>(*multiple)) {
      return Err("multipleOf: expected an integer from 1 to 1000, found {}", *multiple);
    }
    bounds.multiple_of = static_cast<int64_t>(*multiple);
  }
  const bool bounded = bounds.min || bounds.max || bounds.above || bounds.below || multiple;
  if (type == "number" && !bounded) return Become(rule, text_.Number());
  TRY_ASSIGN(const Regular::Term numbers, type == "integer" || multiple
                                              ? Integers(bounds, &regular_)
                                              : Decimals(bounds, &regular_));
  TRY_ASSIGN(const RuleId bare, text_.Bare(numbers));
  return Become(rule, bare);
}

Result<Rules> JsonSchemaRules(std::string_view schema) {
  TRY_ASSIGN(const Json sorted, ParseJson(schema, "schema"));  // for its limits and its errors
  if (TooManyMembers(sorted)) return Err("an object of more than {} members", kMaxMembers);
  const auto document = OrderedJson::parse(schema, nullptr, false);
  CHECK(!document.is_discarded());
  return SchemaCompiler(document).Compile();
}

Rules JsonObjectRules() {
  Regular regular;
  Rules rules;
  rules.root = JsonText(&regular, &rules).Object();
  return rules;
}

}  // namespace merope

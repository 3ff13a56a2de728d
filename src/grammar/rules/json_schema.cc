#include "grammar/rules/json_schema.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "grammar/rules/json_numbers.h"
#include "grammar/rules/json_schema_compiler.h"
#include "grammar/rules/regex.h"
#include "grammar/rules/texts.h"

namespace merope {
namespace {

constexpr int64_t kMaxCount = 4096;   // limit of a bound on items, properties or characters
constexpr size_t kMaxSchemas = 4096;  // limit of different schemas in a document
constexpr int64_t kMaxRules = 32768;

// Keywords that restrict documents and are not supported.
constexpr std::string_view kNotSupported[] = {
    "not",          "if",       "dependentRequired", "dependentSchemas",
    "dependencies", "contains", "$dynamicRef",       "$recursiveRef"};

Result<std::optional<Decimal>> BoundOf(const OrderedJson& schema, const char* keyword) {
  const auto value = schema.find(keyword);
  if (value == schema.end()) return std::nullopt;
  if (!value->is_number()) return Err("{}: expected a number, found {}", keyword, value->dump());
  return Decimal::Of(value->dump());
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
  if (!parts_.Count(schema)) return rules_.root;  // Compile returns the error
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
  const bool says_something = std::ranges::any_of(
      schema.items(), [](const auto& item) { return SaysSomething(item.key()); });
  if (!says_something) return Become(rule, text_.Value());
  TRY_ASSIGN(const OrderedJson plain, parts_.Plain(schema));
  if (plain != schema) return Become(rule, RuleOf(plain, where_));
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
  if (keyword == "oneOf") TRY(CheckExclusive(choices));
  OrderedJson beside = schema;
  beside.erase(keyword);
  OrderedJson values = OrderedJson::array();  // the values of all choices that only list values
  for (size_t i = 0; i < choices.size(); ++i) {
    TRY_ASSIGN(const OrderedJson chosen, parts_.Choose(beside, choices[i]));
    const bool only_values =
        chosen.is_object() && std::ranges::all_of(chosen.items(), [](const auto& item) {
          return item.key() == "const" || item.key() == "enum" || !SaysSomething(item.key());
        });
    const std::vector<OrderedJson> own = Values(chosen);
    if (only_values && !own.empty()) {
      for (const OrderedJson& value : own) values.push_back(value);
    } else {
      TRY(Become(rule, RuleOf(chosen, Below(fmt::format("{}/{}", keyword, i)))));
    }
  }
  if (!values.empty()) TRY(Become(rule, RuleOf(OrderedJson{{"enum", values}}, where_)));
  return {};
}

Status SchemaCompiler::CheckExclusive(const OrderedJson& choices) {
  const auto meet = [](size_t i, size_t j) {
    return Err("oneOf: {} and {} may both be valid for a document; use anyOf", i, j);
  };
  // A choice may list many values, so a map finds equal values. Other choices are compared in
  // pairs.
  std::map<std::string, size_t> known;
  std::vector<bool> has_values;
  for (size_t i = 0; i < choices.size(); ++i) {
    TRY_ASSIGN(const OrderedJson plain, parts_.Plain(choices[i]));
    const std::vector<OrderedJson> own =
        plain.is_object() ? Values(plain) : std::vector<OrderedJson>();
    has_values.push_back(!own.empty());
    for (const OrderedJson& value : own) {
      const auto first = known.try_emplace(Canonical(value), i).first;
      if (first->second != i) return meet(first->second, i);
    }
    for (size_t j = 0; j < i; ++j) {
      if (has_values[i] && has_values[j]) continue;
      TRY(regular_.work().Check());
      if (!parts_.Exclusive(choices[j], choices[i])) return meet(j, i);
    }
  }
  return {};
}

Status SchemaCompiler::FillValues(RuleId rule, const OrderedJson& schema) {
  for (const auto& [keyword, value] : schema.items()) {
    if (keyword == "const" || keyword == "enum" || keyword == "type") continue;
    if (SaysSomething(keyword)) return Err("\"{}\" beside const or enum is not supported", keyword);
  }
  TRY_ASSIGN(const auto types, TypesOf(schema));
  std::vector<std::string> texts;
  for (const OrderedJson& value : Values(schema)) {
    const std::string type = TypeOf(value);
    const bool allowed = std::ranges::any_of(types, [&](const std::string& known) {
      return known == type || (known == "number" && type == "integer");
    });
    if (allowed) texts.push_back(value.dump());
  }
  AddTexts(std::move(texts), rule, &rules_);
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
  TRY_ASSIGN(bounds.min, BoundOf(schema, "minimum"));
  TRY_ASSIGN(bounds.max, BoundOf(schema, "maximum"));
  TRY_ASSIGN(bounds.above, BoundOf(schema, "exclusiveMinimum"));
  TRY_ASSIGN(bounds.below, BoundOf(schema, "exclusiveMaximum"));
  if (const auto multiple = schema.find("multipleOf"); multiple != schema.end()) {
    const double value = multiple->is_number() ? multiple->get<double>() : 0;
    if (value < 1 || value > 1000 || value != std::floor(value)) {
      return Err("multipleOf: expected an integer from 1 to 1000, found {}", multiple->dump());
    }
    bounds.multiple_of = static_cast<int64_t>(value);
  }
  const bool bounded =
      bounds.min || bounds.max || bounds.above || bounds.below || bounds.multiple_of;
  if (type == "number" && !bounded) return Become(rule, text_.Number());
  TRY_ASSIGN(const Regular::Term numbers, type == "integer" || bounds.multiple_of
                                              ? Integers(bounds, &regular_)
                                              : Decimals(bounds, &regular_));
  TRY_ASSIGN(const RuleId bare, text_.Bare(numbers));
  return Become(rule, bare);
}

Result<Rules> JsonSchemaRules(std::string_view schema) {
  TRY_ASSIGN(const OrderedJson document, SchemaDocument(schema));
  return SchemaCompiler(document).Compile();
}

Rules JsonObjectRules() {
  Regular regular;
  Rules rules;
  rules.root = JsonText(&regular, &rules).Object();
  return rules;
}

}  // namespace merope

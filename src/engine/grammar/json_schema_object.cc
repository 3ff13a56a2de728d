#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/grammar/json_schema_compiler.h"
#include "engine/grammar/regex.h"

namespace merope {

Status SchemaCompiler::FillArray(RuleId rule, const OrderedJson& schema) {
  TRY_ASSIGN(const auto given_min, CountOf(schema, "minItems"));
  TRY_ASSIGN(auto max, CountOf(schema, "maxItems"));
  const int64_t min = given_min.value_or(0);
  if (schema.value("uniqueItems", OrderedJson(false)) == true && max.value_or(2) > 1) {
    return Err("\"uniqueItems\" is not supported");
  }
  std::vector<RuleId> first;
  std::optional<RuleId> rest;
  for (const char* keyword : {"prefixItems", "items", "unevaluatedItems"}) {
    const auto items = schema.find(keyword);
    if (items == schema.end() || rest) continue;
    if (items->is_array()) {
      for (size_t i = 0; i < items->size(); ++i) {
        first.push_back(RuleOf((*items)[i], Below(fmt::format("{}/{}", keyword, i))));
      }
    } else {
      rest = RuleOf(*items, Below(keyword));
    }
  }
  if (first.empty() && !rest) {
    if (min == 0 && !max) return Become(rule, text_.Array());
    rest = text_.Value();
  }
  const auto n_first = static_cast<int64_t>(first.size());
  if (!rest) max = std::min(max.value_or(n_first), n_first);
  // One rule for each count of items so far, up to where they are all alike.
  const int64_t last = max.value_or(std::max({min, n_first, int64_t{1}}));
  RuleId after = rule;
  for (int64_t count = 0; count <= last; ++count) {
    const bool loops = !max && count == last;
    const RuleId next = count == last ? after : rules_.Add();
    std::vector<Alternative> alternatives;
    if (loops || !max || count < *max) {
      const RuleId item = count < n_first ? first[static_cast<size_t>(count)] : *rest;
      alternatives.push_back({count == 0 ? "[" : ",", text_.Space(), item, next});
    }
    if (count >= min) {
      alternatives.push_back(count == 0 ? Alternative{"[", text_.Space(), "]"}
                                        : Alternative{text_.Space(), "]"});
    }
    for (Alternative& alternative : alternatives) {
      rules_[after].alternatives.push_back(std::move(alternative));
    }
    after = next;
  }
  return {};
}

Status SchemaCompiler::FillObject(RuleId rule, const OrderedJson& schema) {
  const auto object = [&](const char* keyword) -> Result<OrderedJson> {
    const auto value = schema.find(keyword);
    if (value == schema.end()) return OrderedJson::object();
    if (!value->is_object()) return Err("{}: expected an object, found {}", keyword, value->dump());
    return *value;
  };
  TRY_ASSIGN(const OrderedJson properties, object("properties"));
  TRY_ASSIGN(const OrderedJson pattern_properties, object("patternProperties"));
  TRY_ASSIGN(const auto min, CountOf(schema, "minProperties"));
  TRY_ASSIGN(const auto max, CountOf(schema, "maxProperties"));
  std::vector<std::string> required;
  if (const auto names = schema.find("required"); names != schema.end()) {
    if (!names->is_array()) return Err("required: expected an array, found {}", names->dump());
    for (const OrderedJson& name : *names) {
      if (!name.is_string()) return Err("required: expected strings, found {}", name.dump());
      required.push_back(name.get<std::string>());
    }
  }
  // Other properties than those named: none, unless the schema asks for them, or says nothing of
  // any.
  OrderedJson additional = !schema.contains("properties") && !schema.contains("patternProperties");
  if (const auto given = schema.find("additionalProperties"); given != schema.end())
    additional = *given;
  if (schema.contains("propertyNames") && !schema.contains("additionalProperties"))
    additional = true;
  if (properties.empty() && pattern_properties.empty() && required.empty() && additional == true &&
      !schema.contains("propertyNames") && !min && !max) {
    return Become(rule, text_.Object());
  }

  Regular::Term names = regular_.Not(Regular::kNothing);  // that any property may have
  if (const auto given = schema.find("propertyNames"); given != schema.end()) {
    TRY_ASSIGN(names, NameLanguage(*given));
  }
  struct Pattern {
    Regular::Term names;
    OrderedJson schema;
    std::string where;
  };
  std::vector<Pattern> patterns;
  for (const auto& [pattern, value] : pattern_properties.items()) {
    const auto language = ParseSearchRegex(pattern, &regular_);
    if (!language) return Within("patternProperties", language.error());
    for (const Pattern& other : patterns) {
      TRY_ASSIGN(const bool meet, regular_.HasText(regular_.Both(other.names, *language)));
      if (meet) return Err("patternProperties: two patterns match the same name");
    }
    patterns.push_back({*language, value, Below("patternProperties/" + pattern)});
  }

  regular_.work().Spend((std::ssize(properties) + std::ssize(required)) * std::ssize(required) / 4);
  TRY(regular_.work().Check());
  ObjectShape shape{.known = {}, .others = {}, .min = min.value_or(0), .max = max};
  std::vector<Regular::Term> known;
  const auto add = [&](const std::string& name, const OrderedJson* own) -> Status {
    OrderedJson value = own ? *own : additional;
    for (const Pattern& pattern : patterns) {
      if (!regular_.Holds(pattern.names, name)) continue;
      value = own ? OrderedJson{{"allOf", {value, pattern.schema}}} : pattern.schema;
    }
    // Where the name itself is not allowed, no value is.
    if (!regular_.Holds(names, name)) value = false;
    shape.known.push_back({name, RuleOf(value, Below("properties/" + name)),
                           std::ranges::find(required, name) != required.end()});
    known.push_back(regular_.Text(name));
    return {};
  };
  for (const auto& [name, value] : properties.items()) TRY(add(name, &value));
  for (const std::string& name : required) {
    if (!properties.contains(name)) TRY(add(name, nullptr));
  }

  Regular::Term left = regular_.Both(names, regular_.Not(regular_.Either(known)));
  for (const Pattern& pattern : patterns) {
    TRY(AddOthers(regular_.Both(left, pattern.names), RuleOf(pattern.schema, pattern.where),
                  &shape));
  }
  if (additional != false) {
    for (const Pattern& pattern : patterns) left = regular_.Both(left, regular_.Not(pattern.names));
    TRY(AddOthers(left, RuleOf(additional, Below("additionalProperties")), &shape));
  }
  return AddObject(shape, &text_, &rules_, rule);
}

Status SchemaCompiler::AddOthers(Regular::Term names, RuleId value, ObjectShape* shape) {
  TRY_ASSIGN(const bool any, regular_.HasText(names));
  if (!any) return {};
  TRY_ASSIGN(const RuleId name, text_.String(names));
  shape->others.push_back({name, value});
  return {};
}

Result<Regular::Term> SchemaCompiler::NameLanguage(const OrderedJson& schema) {
  TRY_ASSIGN(const OrderedJson flat, parts_.Merge(schema, OrderedJson(true)));
  if (flat == true) return regular_.Not(Regular::kNothing);
  if (flat == false) return Regular::kNothing;
  if (!flat.is_object()) return Err("propertyNames: expected a schema, found {}", flat.dump());
  std::vector<Regular::Term> values;
  for (const auto& [keyword, value] : flat.items()) {
    if (keyword == "enum" && value.is_array()) {
      for (const OrderedJson& name : value) {
        if (name.is_string()) values.push_back(regular_.Text(name.get<std::string>()));
      }
    } else if (keyword == "const" && value.is_string()) {
      values.push_back(regular_.Text(value.get<std::string>()));
    } else if (SaysSomething(keyword) && keyword != "type" && keyword != "pattern" &&
               keyword != "format" && keyword != "minLength" && keyword != "maxLength") {
      return Err("\"{}\" in propertyNames is not supported", keyword);
    }
  }
  TRY_ASSIGN(const Regular::Term strings, Strings(flat));
  return values.empty() ? strings : regular_.Both(strings, regular_.Either(std::move(values)));
}

}  // namespace merope

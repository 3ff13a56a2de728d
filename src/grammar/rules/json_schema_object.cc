#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "grammar/rules/json_schema_compiler.h"
#include "grammar/rules/regex.h"

namespace merope {
namespace {

constexpr size_t kMaxCells = 64;

}  // namespace

Status SchemaCompiler::FillArray(RuleId rule, const OrderedJson& schema) {
  TRY_ASSIGN(const auto given_min, CountOf(schema, "minItems"));
  TRY_ASSIGN(auto max, CountOf(schema, "maxItems"));
  const int64_t min = given_min.value_or(0);
  const OrderedJson unique = schema.value("uniqueItems", OrderedJson(false));
  if (!unique.is_boolean())
    return Err("uniqueItems: expected true or false, found {}", unique.dump());
  if (unique == true && max.value_or(2) > 1) return Err("\"uniqueItems\" is not supported");
  std::vector<RuleId> first;
  std::optional<RuleId> rest;
  if (const auto items = schema.find("prefixItems"); items != schema.end()) {
    for (size_t i = 0; i < items->size(); ++i) {
      first.push_back(RuleOf((*items)[i], Below(fmt::format("prefixItems/{}", i))));
    }
  }
  if (const auto items = schema.find("items"); items != schema.end()) {
    rest = RuleOf(*items, Below("items"));
  }
  if (first.empty() && !rest) {
    if (min == 0 && !max) return Become(rule, text_.Array());
    rest = text_.Value();
  }
  const auto n_first = static_cast<int64_t>(first.size());
  if (!rest) max = std::min(max.value_or(n_first), n_first);
  // One rule for each number of items so far, up to the number after which all rules are alike.
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

// One of the PropertyParts of a schema, with the languages of its patterns.
struct SchemaCompiler::NamedPart {
  OrderedJson properties, patterns;  // objects
  std::vector<Regular::Term> languages;
  std::optional<OrderedJson> additional;
};

Result<std::vector<SchemaCompiler::NamedPart>> SchemaCompiler::NamedParts(
    const OrderedJson& schema) {
  std::vector<NamedPart> parts;
  for (const OrderedJson& given : PropertyParts(schema)) {
    NamedPart& part = parts.emplace_back();
    for (const auto& [keyword, to] : {std::pair("properties", &part.properties),
                                      std::pair("patternProperties", &part.patterns)}) {
      *to = given.value(keyword, OrderedJson::object());
      if (!to->is_object()) return Err("{}: expected an object, found {}", keyword, to->dump());
    }
    for (const auto& [pattern, value] : part.patterns.items()) {
      const auto language = ParseSearchRegex(pattern, &regular_);
      if (!language) return Within("patternProperties", language.error());
      part.languages.push_back(*language);
    }
    if (given.contains("additionalProperties")) part.additional = given["additionalProperties"];
  }
  return parts;
}

Status SchemaCompiler::FillObject(RuleId rule, const OrderedJson& schema) {
  TRY_ASSIGN(const std::vector<NamedPart> parts, NamedParts(schema));
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
  // Properties that the schema does not name are allowed only in two cases: the schema asks for
  // them, or the schema names no properties.
  bool asks = schema.contains("propertyNames"), names_any = false, says_nothing = !asks;
  int64_t n_names = 0;
  for (const NamedPart& part : parts) {
    n_names += std::ssize(part.properties);
    asks |= part.additional.has_value();
    names_any |= !part.properties.empty() || !part.patterns.empty();
    says_nothing &= part.additional.value_or(true) == true;
  }
  if (says_nothing && !names_any && required.empty() && !min && !max) {
    return Become(rule, text_.Object());
  }
  Regular::Term left = regular_.Not(Regular::kNothing);  // names of properties that are not known
  if (const auto given = schema.find("propertyNames"); given != schema.end()) {
    TRY_ASSIGN(left, NameLanguage(*given));
  }
  regular_.work().Spend((n_names + std::ssize(required)) * std::ssize(required) / 4);
  TRY(regular_.work().Check());
  ObjectShape shape{.known = {}, .others = {}, .min = min.value_or(0), .max = max};
  std::set<std::string> seen;
  std::vector<Regular::Term> known;
  const auto add = [&](const std::string& name) {
    if (!seen.insert(name).second) return;
    // If the name is not allowed, no value is allowed.
    const OrderedJson value =
        regular_.Holds(left, name) ? ValueOf(name, parts) : OrderedJson(false);
    shape.known.push_back({name, RuleOf(value, Below("properties/" + name)),
                           std::ranges::find(required, name) != required.end()});
    known.push_back(regular_.Text(name));
  };
  for (const NamedPart& part : parts) {
    for (const auto& [name, value] : part.properties.items()) add(name);
  }
  for (const std::string& name : required) add(name);
  left = regular_.Both(left, regular_.Not(regular_.Either(known)));
  TRY(AddOthers(left, parts, asks || !names_any, &shape));
  return AddObject(shape, &text_, &rules_, rule);
}

OrderedJson SchemaCompiler::ValueOf(const std::string& name, const std::vector<NamedPart>& parts) {
  OrderedJson value = true;
  for (const NamedPart& part : parts) {
    const auto own = part.properties.find(name);
    bool known = own != part.properties.end();
    if (known) value = BothOf(value, *own);
    for (size_t i = 0; const auto& [pattern, schema] : part.patterns.items()) {
      if (!regular_.Holds(part.languages[i++], name)) continue;
      value = BothOf(value, schema);
      known = true;
    }
    if (!known && part.additional) value = BothOf(value, *part.additional);
  }
  return value;
}

Status SchemaCompiler::AddOthers(Regular::Term names, const std::vector<NamedPart>& parts,
                                 bool unmatched, ObjectShape* shape) {
  // Splits the names by the patterns that match them: all names of a cell match the same patterns.
  struct Cell {
    Regular::Term names;
    std::vector<bool> matched;  // for each part: whether a pattern of the part matches
    OrderedJson value = true;
  };
  std::vector<Cell> cells = {{names, std::vector<bool>(parts.size())}};
  for (size_t p = 0; p < parts.size(); ++p) {
    for (size_t i = 0; const auto& [pattern, value] : parts[p].patterns.items()) {
      const Regular::Term language = parts[p].languages[i++];
      std::vector<Cell> split;
      for (Cell& cell : cells) {
        const Regular::Term in = regular_.Both(cell.names, language),
                            out = regular_.Both(cell.names, regular_.Not(language));
        TRY_ASSIGN(const bool any_in, regular_.HasText(in));
        TRY_ASSIGN(const bool any_out, regular_.HasText(out));
        if (any_in) {
          Cell& matched = split.emplace_back(cell);
          if (any_out) matched.names = in;
          matched.matched[p] = true;
          matched.value = BothOf(matched.value, value);
        }
        if (any_out) {
          if (any_in) cell.names = out;
          split.push_back(std::move(cell));
        }
      }
      if (split.size() > kMaxCells) {
        return Err("patternProperties: the patterns match names in more than {} combinations",
                   kMaxCells);
      }
      cells = std::move(split);
    }
  }
  for (Cell& cell : cells) {
    const bool matched = std::ranges::find(cell.matched, true) != cell.matched.end();
    for (size_t p = 0; p < parts.size(); ++p) {
      if (!cell.matched[p] && parts[p].additional) {
        cell.value = BothOf(cell.value, *parts[p].additional);
      }
    }
    TRY_ASSIGN(const bool any, regular_.HasText(cell.names));
    if (!any || cell.value == false || (!matched && !unmatched)) continue;
    TRY_ASSIGN(const RuleId name, text_.String(cell.names));
    const char* where = matched ? "patternProperties" : "additionalProperties";
    shape->others.push_back({name, RuleOf(cell.value, Below(where))});
  }
  return {};
}

Result<Regular::Term> SchemaCompiler::NameLanguage(const OrderedJson& schema) {
  TRY_ASSIGN(const OrderedJson plain, parts_.Plain(schema));
  if (plain == true) return regular_.Not(Regular::kNothing);
  if (plain == false) return Regular::kNothing;
  // Keywords for types other than strings do not restrict names.
  for (const auto& [keyword, value] : plain.items()) {
    if (keyword != "enum" && keyword != "const" && keyword != "type" && keyword != "allOf" &&
        SaysSomething(keyword) && TypeOfKeyword(keyword).empty()) {
      return Err("\"{}\" in propertyNames is not supported", keyword);
    }
  }
  if (plain.contains("type")) {
    TRY_ASSIGN(const auto types, TypesOf(plain));
    if (std::ranges::find(types, "string") == types.end()) return Regular::kNothing;
  }
  TRY_ASSIGN(const Regular::Term strings, Strings(plain));
  if (!plain.contains("enum") && !plain.contains("const")) return strings;
  std::vector<Regular::Term> names;
  for (const OrderedJson& value : Values(plain)) {
    if (value.is_string()) names.push_back(regular_.Text(value.get<std::string>()));
  }
  return regular_.Both(strings, regular_.Either(std::move(names)));
}

}  // namespace merope

#include "grammar/rules/json_schema_parts.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "grammar/rules/json_numbers.h"

namespace merope {
namespace {

constexpr std::string_view kTypes[] = {"object",  "array",   "string", "number",
                                       "integer", "boolean", "null"};

// Keywords that restrict documents of only one type.
struct TypedKeyword {
  std::string_view keyword, type;
};
constexpr TypedKeyword kTypedKeywords[] = {{"properties", "object"},
                                           {"patternProperties", "object"},
                                           {"additionalProperties", "object"},
                                           {"required", "object"},
                                           {"propertyNames", "object"},
                                           {"minProperties", "object"},
                                           {"maxProperties", "object"},
                                           {"items", "array"},
                                           {"prefixItems", "array"},
                                           {"minItems", "array"},
                                           {"maxItems", "array"},
                                           {"uniqueItems", "array"},
                                           {"minLength", "string"},
                                           {"maxLength", "string"},
                                           {"pattern", "string"},
                                           {"format", "string"},
                                           {"minimum", "number"},
                                           {"maximum", "number"},
                                           {"exclusiveMinimum", "number"},
                                           {"exclusiveMaximum", "number"},
                                           {"multipleOf", "number"}};

// Keywords that restrict documents of any type.
constexpr std::string_view kKeywords[] = {"type",
                                          "enum",
                                          "const",
                                          "$ref",
                                          "allOf",
                                          "anyOf",
                                          "oneOf",
                                          "not",
                                          "if",
                                          "then",
                                          "else",
                                          "dependentRequired",
                                          "dependentSchemas",
                                          "dependencies",
                                          "contains",
                                          "minContains",
                                          "maxContains",
                                          "unevaluatedItems",
                                          "unevaluatedProperties",
                                          "additionalItems",
                                          "$dynamicRef",
                                          "$recursiveRef"};

std::string Unescaped(std::string_view part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    const auto hex = [&](size_t at) {
      const char c = static_cast<char>(part[at] | 0x20);
      return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    if (part[i] == '%' && i + 2 < part.size() && hex(i + 1) >= 0 && hex(i + 2) >= 0) {
      out.push_back(static_cast<char>(hex(i + 1) * 16 + hex(i + 2)));
      i += 2;
    } else if (part[i] == '~' && i + 1 < part.size() &&
               (part[i + 1] == '0' || part[i + 1] == '1')) {
      out.push_back(part[++i] == '0' ? '~' : '/');
    } else {
      out.push_back(part[i]);
    }
  }
  return out;
}

// The schema of the property with this name in a plain schema, from "properties" alone.
OrderedJson PropertyOf(const OrderedJson& schema, const std::string& name) {
  OrderedJson all = true;
  for (const OrderedJson& part : PropertyParts(schema)) {
    const auto properties = part.find("properties");
    if (properties == part.end() || !properties->is_object()) continue;
    if (const auto found = properties->find(name); found != properties->end()) {
      all = BothOf(all, *found);
    }
  }
  return all;
}

}  // namespace

std::vector<OrderedJson> Values(const OrderedJson& schema) {
  if (const auto value = schema.find("const"); value != schema.end()) return {*value};
  const auto values = schema.find("enum");
  if (values == schema.end() || !values->is_array()) return {};
  return {values->begin(), values->end()};
}

bool TypesMeet(const std::string& a, const std::string& b) {
  return a == b || (a == "number" && b == "integer") || (a == "integer" && b == "number");
}

bool SaysSomething(std::string_view keyword) {
  return std::ranges::find(kKeywords, keyword) != std::end(kKeywords) ||
         !TypeOfKeyword(keyword).empty();
}

std::string_view TypeOfKeyword(std::string_view keyword) {
  const auto found = std::ranges::find(kTypedKeywords, keyword, &TypedKeyword::keyword);
  return found == std::end(kTypedKeywords) ? std::string_view() : found->type;
}

std::string TypeOf(const OrderedJson& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "boolean";
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  const auto number = value.get<double>();
  return value.is_number_integer() || std::floor(number) == number ? "integer" : "number";
}

std::string Canonical(const OrderedJson& value) {
  if (value.is_number()) return Decimal::Of(value.dump()).Text();
  if (!value.is_structured()) return value.dump();
  std::vector<std::string> parts;
  for (const auto& [name, part] : value.items()) {
    parts.push_back(value.is_array() ? std::string() : OrderedJson(name).dump());
    parts.back() += ':';
    parts.back() += Canonical(part);
  }
  if (value.is_object()) std::ranges::sort(parts);
  const std::string all = fmt::format("{}", fmt::join(parts, ","));
  return value.is_array() ? fmt::format("[{}]", all) : fmt::format("{{{}}}", all);
}

Result<std::vector<std::string>> TypesOf(const OrderedJson& schema) {
  std::vector<std::string> types;
  const auto add = [&](const std::string& type) {
    if (std::ranges::find(types, type) == types.end()) types.push_back(type);
  };
  if (const auto given = schema.find("type"); given != schema.end()) {
    const OrderedJson list = given->is_array() ? *given : OrderedJson::array({*given});
    for (const OrderedJson& type : list) {
      if (!type.is_string() ||
          std::ranges::find(kTypes, type.get<std::string>()) == std::end(kTypes)) {
        return Err("type: expected one of JSON's, found {}", type.dump());
      }
      add(type.get<std::string>());
    }
    if (list.empty()) return Err("type: expected at least one");
    return types;
  }
  if (const auto values = Values(schema); !values.empty()) {
    for (const OrderedJson& value : values) add(TypeOf(value));
    return types;
  }
  // Without a type, the keywords imply the types: a schema with properties means an object.
  for (const TypedKeyword& typed : kTypedKeywords) {
    if (schema.contains(typed.keyword)) add(std::string(typed.type));
  }
  if (schema.contains("allOf")) add("object");  // in a plain schema, allOf is about properties
  if (types.empty()) {
    for (const std::string_view type : kTypes) {
      if (type != "integer") add(std::string(type));
    }
  }
  return types;
}

Result<const OrderedJson*> SchemaParts::Resolve(const OrderedJson& reference) const {
  if (!reference.is_string()) return Err("$ref: expected a string, found {}", reference.dump());
  const auto& text = reference.get_ref<const std::string&>();
  if (text != "#" && !text.starts_with("#/")) {
    return Err("$ref: expected # or #/…, found \"{}\"; others are not supported", text);
  }
  const OrderedJson* at = &document_;
  std::string_view rest = std::string_view(text).substr(1);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t end = std::min(rest.find('/'), rest.size());
    const std::string part = Unescaped(rest.substr(0, end));
    rest.remove_prefix(end);
    const OrderedJson* next = nullptr;
    if (at->is_object()) {
      if (const auto found = at->find(part); found != at->end()) next = &*found;
    } else if (at->is_array() && !part.empty() && part.size() < 9 &&
               std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; })) {
      const size_t index = std::stoul(part);
      if (index < at->size()) next = &(*at)[index];
    }
    if (!next) return Err("$ref: \"{}\" is not there", text);
    at = next;
  }
  return at;
}

Status SchemaParts::Count(const OrderedJson& value) const {
  std::vector<const OrderedJson*> level = {&value}, next;
  for (int64_t depth = 0; !level.empty(); ++depth, level.swap(next)) {
    if (depth > CompileWork::kMostDepth) work_.SpendAll();
    next.clear();
    for (const OrderedJson* at : level) {
      const auto size = static_cast<int64_t>(at->size());
      const bool is_string = at->is_string();
      work_.Spend(4 + (is_string         ? std::ssize(at->get_ref<const std::string&>()) / 16
                       : at->is_object() ? size * size / 8
                                         : 0));
      TRY(work_.Check());
      if (!at->is_structured()) continue;
      for (const OrderedJson& part : *at) next.push_back(&part);
    }
  }
  return {};
}

bool SchemaParts::Exclusive(const OrderedJson& first, const OrderedJson& second, int depth) const {
  if (depth > 4) return false;
  const auto flat_a = Plain(first), flat_b = Plain(second);
  if (work_.spent()) return true;  // the schema is refused in any case
  if (!flat_a || !flat_b) return false;
  const OrderedJson &a = *flat_a, &b = *flat_b;
  if (a == false || b == false) return true;
  if (!a.is_object() || !b.is_object()) return false;
  const auto a_values = Values(a), b_values = Values(b);
  if (!work_.Spend(8 * (std::ssize(a_values) + std::ssize(b_values)))) return true;
  if (!a_values.empty() && !b_values.empty()) {
    std::set<std::string> known;
    for (const OrderedJson& value : a_values) known.insert(Canonical(value));
    return std::ranges::none_of(
        b_values, [&](const OrderedJson& value) { return known.contains(Canonical(value)); });
  }
  const auto a_types = TypesOf(a), b_types = TypesOf(b);
  if (!a_types || !b_types) return false;
  const auto meet = [&](const std::string& x) {
    return std::ranges::any_of(*b_types, [&](const std::string& y) { return TypesMeet(x, y); });
  };
  if (std::ranges::none_of(*a_types, meet)) {
    // Types that were only guessed from other keywords do not exclude a document.
    return (a.contains("type") || !a_values.empty()) && (b.contains("type") || !b_values.empty());
  }
  // Both types are object. The schemas exclude each other if both require the same property and
  // their schemas of this property exclude each other.
  if (*a_types != std::vector<std::string>{"object"} || *a_types != *b_types ||
      !a.contains("type") || !b.contains("type")) {
    return false;
  }
  for (const OrderedJson& name : a.value("required", OrderedJson::array())) {
    if (!name.is_string() || !b.contains("required")) continue;
    const OrderedJson& others = b["required"];
    if (!work_.Spend(std::ssize(others) / 4)) return true;
    if (std::find(others.begin(), others.end(), name) == others.end()) continue;
    const OrderedJson in_a = PropertyOf(a, name), in_b = PropertyOf(b, name);
    if (Exclusive(in_a, in_b, depth + 1)) return true;
  }
  return false;
}

}  // namespace merope

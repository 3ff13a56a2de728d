#include "engine/grammar/json_schema_parts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

namespace merope {
namespace {

constexpr int kMaxDepth = 32;
constexpr std::string_view kTypes[] = {"object",  "array",   "string", "number",
                                       "integer", "boolean", "null"};

// The keywords of schemas that say something of documents of one type alone.
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

// Those of any type.
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

// The values of enum or const; none where there is neither.
std::vector<OrderedJson> Values(const OrderedJson& schema) {
  if (const auto value = schema.find("const"); value != schema.end()) return {*value};
  const auto values = schema.find("enum");
  if (values == schema.end() || !values->is_array()) return {};
  return {values->begin(), values->end()};
}

bool TypesMeet(const std::string& a, const std::string& b) {
  return a == b || (a == "number" && b == "integer") || (a == "integer" && b == "number");
}

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

// One keyword's values of two schemas, as the one value that says both.
Result<OrderedJson> MergeKeyword(const std::string& keyword, const OrderedJson& a,
                                 const OrderedJson& b) {
  const auto number = [](const OrderedJson& value) { return value.get<double>(); };
  const bool numbers = a.is_number() && b.is_number();
  if (a == b) return a;
  if (numbers && (keyword.starts_with("min") || keyword == "exclusiveMinimum")) {
    return number(a) > number(b) ? a : b;
  }
  if (numbers && (keyword.starts_with("max") || keyword == "exclusiveMaximum")) {
    return number(a) < number(b) ? a : b;
  }
  if (keyword == "required" && a.is_array() && b.is_array()) {
    OrderedJson all = a;
    for (const OrderedJson& name : b) {
      if (std::find(a.begin(), a.end(), name) == a.end()) all.push_back(name);
    }
    return all;
  }
  if (keyword == "properties" && a.is_object() && b.is_object()) {
    OrderedJson all = a;
    for (const auto& [name, schema] : b.items()) {
      all[name] = all.contains(name) ? OrderedJson{{"allOf", {all[name], schema}}} : schema;
    }
    return all;
  }
  if (keyword == "items" && !a.is_array() && !b.is_array()) {
    return OrderedJson{{"allOf", {a, b}}};
  }
  if (keyword == "uniqueItems") return OrderedJson(a == true || b == true);
  return Err("schemas that must both hold have different values of \"{}\"", keyword);
}

}  // namespace

bool SaysSomething(std::string_view keyword) {
  return std::ranges::find(kKeywords, keyword) != std::end(kKeywords) ||
         std::ranges::find(kTypedKeywords, keyword, &TypedKeyword::keyword) !=
             std::end(kTypedKeywords);
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
  // Whoever gives properties means an object.
  for (const TypedKeyword& typed : kTypedKeywords) {
    if (schema.contains(typed.keyword)) add(std::string(typed.type));
  }
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
    if (depth > Work::kMostDepth) work_.SpendAll();
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

// $ref and allOf replaced by what they say.
Result<OrderedJson> SchemaParts::Flat(const OrderedJson& schema, int depth) const {
  if (depth > kMaxDepth) return Err("$ref, allOf: more than {} inside each other", kMaxDepth);
  TRY(Count(schema));
  if (!schema.is_object() || (!schema.contains("$ref") && !schema.contains("allOf"))) return schema;
  OrderedJson own = schema;
  own.erase("$ref");
  own.erase("allOf");
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    TRY_ASSIGN(const OrderedJson* target, Resolve(*reference));
    TRY_ASSIGN(own, Merge(*target, own, depth + 1));
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array()) return Err("allOf: expected an array, found {}", all->dump());
    for (const OrderedJson& part : *all) {
      TRY_ASSIGN(own, Merge(own, part, depth + 1));
    }
  }
  return own;
}

Result<OrderedJson> SchemaParts::Merge(const OrderedJson& first, const OrderedJson& second,
                                       int depth) const {
  TRY_ASSIGN(OrderedJson a, Flat(first, depth));
  TRY_ASSIGN(OrderedJson b, Flat(second, depth));
  if (a == false || b == false) return OrderedJson(false);
  if (b == true) return a;
  if (a == true) return b;
  if (!a.is_object() || !b.is_object()) return Err("expected a schema");
  // Names that one leaves to additionalProperties may be known to the other.
  for (const char* keyword : {"additionalProperties", "patternProperties", "propertyNames"}) {
    const bool same = a.value("properties", OrderedJson()) == b.value("properties", OrderedJson());
    for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
      if (!one->contains(keyword) || same) continue;
      if (other->contains("properties") || other->contains("patternProperties") ||
          other->contains("additionalProperties")) {
        return Err("schemas that must both hold have \"{}\" and other properties", keyword);
      }
    }
  }
  if (a.contains("type") && b.contains("type")) {
    TRY_ASSIGN(const auto a_types, TypesOf(a));
    TRY_ASSIGN(const auto b_types, TypesOf(b));
    OrderedJson both = OrderedJson::array();
    for (const std::string& x : a_types) {
      for (const std::string& y : b_types) {
        if (TypesMeet(x, y)) both.push_back(x == "number" ? y : x);
      }
    }
    if (both.empty()) return OrderedJson(false);
    a["type"] = b["type"] = both;
  }
  const auto a_values = Values(a), b_values = Values(b);
  work_.Spend(std::ssize(a_values) * std::ssize(b_values));
  TRY(work_.Check());
  if (!a_values.empty() && !b_values.empty()) {
    OrderedJson both = OrderedJson::array();
    for (const OrderedJson& value : a_values) {
      if (std::ranges::find(b_values, value) != b_values.end()) both.push_back(value);
    }
    if (both.empty()) return OrderedJson(false);
    for (OrderedJson* schema : {&a, &b}) {
      schema->erase("const");
      (*schema)["enum"] = both;
    }
  }
  for (const auto& [keyword, value] : b.items()) {
    if (!a.contains(keyword)) {
      a[keyword] = value;
    } else if (SaysSomething(keyword)) {
      // Lists and objects are looked through for each name of the other.
      work_.Spend(static_cast<int64_t>(a[keyword].size() * value.size()) / 4);
      TRY(work_.Check());
      TRY_ASSIGN(a[keyword], MergeKeyword(keyword, a[keyword], value));
    }
  }
  return a;
}

bool SchemaParts::Exclusive(const OrderedJson& first, const OrderedJson& second, int depth) const {
  const auto flat_a = Flat(first, 0), flat_b = Flat(second, 0);
  if (work_.spent()) return true;  // whatever it is, the schema is refused
  if (depth > 4 || !flat_a || !flat_b) return false;
  const OrderedJson &a = *flat_a, &b = *flat_b;
  if (a == false || b == false) return true;
  if (!a.is_object() || !b.is_object()) return false;
  const auto a_values = Values(a), b_values = Values(b);
  if (!work_.Spend(std::ssize(a_values) * std::ssize(b_values))) return true;
  if (!a_values.empty() && !b_values.empty()) {
    return std::ranges::none_of(a_values, [&](const OrderedJson& value) {
      return std::ranges::find(b_values, value) != b_values.end();
    });
  }
  const auto a_types = TypesOf(a), b_types = TypesOf(b);
  if (!a_types || !b_types) return false;
  const auto meet = [&](const std::string& x) {
    return std::ranges::any_of(*b_types, [&](const std::string& y) { return TypesMeet(x, y); });
  };
  if (std::ranges::none_of(*a_types, meet)) {
    // Types that were only guessed from other keywords exclude nothing.
    return (a.contains("type") || !a_values.empty()) && (b.contains("type") || !b_values.empty());
  }
  // Objects that must have a property which cannot be the same.
  if (*a_types != std::vector<std::string>{"object"} || *a_types != *b_types ||
      !a.contains("type") || !b.contains("type")) {
    return false;
  }
  const auto property = [](const OrderedJson& schema,
                           const OrderedJson& name) -> const OrderedJson* {
    const auto required = schema.find("required"), properties = schema.find("properties");
    if (required == schema.end() || properties == schema.end() || !name.is_string()) return nullptr;
    if (std::find(required->begin(), required->end(), name) == required->end()) return nullptr;
    const auto found = properties->find(name.get<std::string>());
    return found == properties->end() ? nullptr : &*found;
  };
  for (const OrderedJson& name : a.value("required", OrderedJson::array())) {
    const OrderedJson *in_a = property(a, name), *in_b = property(b, name);
    if (in_a && in_b && Exclusive(*in_a, *in_b, depth + 1)) return true;
  }
  return false;
}

}  // namespace merope

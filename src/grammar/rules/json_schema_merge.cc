// Merges several JSON schemas into one.
#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "grammar/rules/json_numbers.h"
#include "grammar/rules/json_schema_parts.h"

namespace merope {
namespace {

constexpr int kMaxMergeDepth = 32;
constexpr std::array kOfProperties = {"properties", "patternProperties", "additionalProperties"};
constexpr std::array kUnevaluated = {"unevaluatedProperties", "unevaluatedItems"};

bool IsOfProperties(std::string_view keyword) {
  return std::ranges::find(kOfProperties, keyword) != kOfProperties.end();
}

bool HasChoice(const OrderedJson& schema) {
  return schema.contains("anyOf") || schema.contains("oneOf");
}

OrderedJson PropertyPart(const OrderedJson& schema) {
  OrderedJson part = OrderedJson::object();
  for (const char* keyword : kOfProperties) {
    if (schema.contains(keyword)) part[keyword] = schema[keyword];
  }
  return part;
}

void AddPropertyPart(OrderedJson* schema, const OrderedJson& part) {
  const OrderedJson own = PropertyPart(*schema);
  if (part.empty() || part == own) return;
  if (own.empty()) {
    for (const auto& [keyword, value] : part.items()) (*schema)[keyword] = value;
    return;
  }
  const auto only_names = [](const OrderedJson& one) {
    return one.size() == 1 && one.contains("properties") && one["properties"].is_object();
  };
  if (only_names(own) && only_names(part)) {
    OrderedJson& names = (*schema)["properties"];
    for (const auto& [name, value] : part["properties"].items()) {
      names[name] = names.contains(name) ? BothOf(names[name], value) : value;
    }
    return;
  }
  OrderedJson& others = (*schema)["allOf"];
  if (std::find(others.begin(), others.end(), part) == others.end()) others.push_back(part);
}

// Converts the form of draft 7. A list in `items` becomes prefixItems. additionalItems, which
// applies to the items after the list, becomes `items`.
Status PlainItems(OrderedJson* schema) {
  const auto items = schema->find("items");
  if (items != schema->end() && items->is_array()) {
    if (schema->contains("prefixItems")) return Err("items: a list beside prefixItems");
    (*schema)["prefixItems"] = OrderedJson(*items);
    schema->erase("items");
    if (schema->contains("additionalItems")) {
      (*schema)["items"] = OrderedJson((*schema)["additionalItems"]);
    }
  }
  schema->erase("additionalItems");
  const auto prefix = schema->find("prefixItems");
  if (prefix != schema->end() && !prefix->is_array()) {
    return Err("prefixItems: expected an array, found {}", prefix->dump());
  }
  return {};
}

// Reduces const and enum to one of the two. Sets the schema to false if no value satisfies both.
Status PlainValues(OrderedJson* schema) {
  const auto list = schema->find("enum");
  if (list == schema->end()) return {};
  if (!list->is_array()) return Err("enum: expected an array, found {}", list->dump());
  const auto one = schema->find("const");
  if (one == schema->end()) return {};
  const std::string wanted = Canonical(*one);
  const bool found = std::ranges::any_of(
      *list, [&](const OrderedJson& value) { return Canonical(value) == wanted; });
  if (found) {
    schema->erase("enum");
  } else {
    *schema = false;
  }
  return {};
}

void MergeItems(OrderedJson* a, const OrderedJson& b) {
  const auto size = [](const OrderedJson& schema) {
    return schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
  };
  const auto item = [&](const OrderedJson& schema, size_t i) {
    if (i < size(schema)) return schema["prefixItems"][i];
    return schema.value("items", OrderedJson(true));
  };
  if (!b.contains("prefixItems") && !b.contains("items")) return;
  OrderedJson prefix = OrderedJson::array();
  for (size_t i = 0; i < std::max(size(*a), size(b)); ++i) {
    prefix.push_back(BothOf(item(*a, i), item(b, i)));
  }
  if (a->contains("items") || b.contains("items")) {
    (*a)["items"] =
        BothOf(a->value("items", OrderedJson(true)), b.value("items", OrderedJson(true)));
  }
  if (!prefix.empty()) (*a)["prefixItems"] = std::move(prefix);
}

// Reduces both schemas to the values that are valid for both. Sets *a to false if no value is valid
// for both.
void MergeValues(OrderedJson* a, OrderedJson* b) {
  const auto has = [](const OrderedJson& schema) {
    return schema.contains("enum") || schema.contains("const");
  };
  if (!has(*a) || !has(*b)) return;
  std::set<std::string> wanted;
  for (const OrderedJson& value : Values(*b)) wanted.insert(Canonical(value));
  OrderedJson both = OrderedJson::array();
  for (const OrderedJson& value : Values(*a)) {
    if (wanted.contains(Canonical(value))) both.push_back(value);
  }
  for (OrderedJson* schema : {a, b}) {
    schema->erase("const");
    (*schema)["enum"] = both;
  }
  if (both.empty()) *a = false;
}

// Merges the values of one keyword in two schemas into one value with the meaning of both.
Result<OrderedJson> MergeKeyword(const std::string& keyword, const OrderedJson& a,
                                 const OrderedJson& b) {
  if (a.is_number() && b.is_number()) {
    const auto order = Decimal::Of(a.dump()) <=> Decimal::Of(b.dump());
    if (order == 0) return a;
    if (keyword.starts_with("min") || keyword == "exclusiveMinimum") return order > 0 ? a : b;
    if (keyword.starts_with("max") || keyword == "exclusiveMaximum") return order < 0 ? a : b;
  }
  if (a == b) return a;
  if (keyword == "required" && a.is_array() && b.is_array()) {
    OrderedJson all = a;
    for (const OrderedJson& name : b) {
      if (std::find(a.begin(), a.end(), name) == a.end()) all.push_back(name);
    }
    return all;
  }
  if (keyword == "propertyNames") return BothOf(a, b);
  if (keyword == "uniqueItems" && a.is_boolean() && b.is_boolean())
    return OrderedJson(a == true || b == true);
  return Err("schemas that must both hold have different values of \"{}\"", keyword);
}

Status MergeTypes(OrderedJson* a, OrderedJson* b) {
  if (!a->contains("type") || !b->contains("type")) return {};
  TRY_ASSIGN(const auto a_types, TypesOf(*a));
  TRY_ASSIGN(const auto b_types, TypesOf(*b));
  OrderedJson both = OrderedJson::array();
  for (const std::string& x : a_types) {
    for (const std::string& y : b_types) {
      const std::string& meeting = x == "number" ? y : x;
      if (TypesMeet(x, y) && std::find(both.begin(), both.end(), meeting) == both.end()) {
        both.push_back(meeting);
      }
    }
  }
  (*a)["type"] = (*b)["type"] = both;
  if (both.empty()) *a = false;
  return {};
}

// Adds the unevaluated… keywords of `from` to a plain schema. Everything in the plain schema counts
// as evaluated.
void Evaluate(const OrderedJson& from, OrderedJson* schema) {
  if (*schema == true) *schema = OrderedJson::object();
  if (!schema->is_object()) return;
  for (const char* keyword : kUnevaluated) {
    if (!from.contains(keyword)) continue;
    if (HasChoice(*schema)) {
      (*schema)[keyword] = from[keyword];
      continue;
    }
    if (keyword == kUnevaluated[1]) {
      if (!schema->contains("items")) (*schema)["items"] = from[keyword];
      continue;
    }
    // With additionalProperties, all properties are evaluated.
    const std::vector<OrderedJson> parts = PropertyParts(*schema);
    if (std::ranges::any_of(
            parts, [](const auto& part) { return part.contains("additionalProperties"); })) {
      continue;
    }
    OrderedJson all = OrderedJson::object();
    for (const OrderedJson& part : parts) {
      for (const auto& [of, names] : part.items()) {
        for (const auto& [name, value] : names.items()) all[of][name] = true;
      }
    }
    all["additionalProperties"] = from[keyword];
    if (parts.size() == 1) {
      (*schema)["additionalProperties"] = from[keyword];
    } else {
      AddPropertyPart(schema, all);
    }
  }
}

}  // namespace

std::vector<OrderedJson> PropertyParts(const OrderedJson& schema) {
  std::vector<OrderedJson> parts;
  if (OrderedJson own = PropertyPart(schema); !own.empty()) parts.push_back(std::move(own));
  if (const auto others = schema.find("allOf"); others != schema.end()) {
    parts.insert(parts.end(), others->begin(), others->end());
  }
  return parts;
}

OrderedJson BothOf(const OrderedJson& first, const OrderedJson& second) {
  if (first == second || second == true) return first;
  if (first == true) return second;
  OrderedJson all = OrderedJson::array();
  for (const OrderedJson* schema : {&first, &second}) {
    if (schema->is_object() && schema->size() == 1 && schema->contains("allOf") &&
        (*schema)["allOf"].is_array()) {
      all.insert(all.end(), (*schema)["allOf"].begin(), (*schema)["allOf"].end());
    } else {
      all.push_back(*schema);
    }
  }
  return OrderedJson{{"allOf", std::move(all)}};
}

Result<OrderedJson> SchemaParts::Plain(const OrderedJson& schema, int depth) const {
  if (depth > kMaxMergeDepth)
    return Err("$ref, allOf: more than {} inside each other", kMaxMergeDepth);
  TRY(Count(schema));
  if (schema.is_boolean()) return schema;
  if (!schema.is_object()) return Err("expected a schema, found {}", schema.dump());
  OrderedJson own = schema;
  for (const char* keyword : {"$ref", "allOf", kUnevaluated[0], kUnevaluated[1]}) {
    own.erase(keyword);
  }
  TRY(PlainItems(&own));
  TRY(PlainValues(&own));
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
  Evaluate(schema, &own);
  return own;
}

Result<OrderedJson> SchemaParts::Merge(const OrderedJson& first, const OrderedJson& second,
                                       int depth) const {
  TRY_ASSIGN(OrderedJson a, Plain(first, depth));
  TRY_ASSIGN(OrderedJson b, Plain(second, depth));
  if (a == false || b == false) return OrderedJson(false);
  const auto says_nothing = [](const OrderedJson& schema) {
    return schema == true || std::ranges::none_of(schema.items(), [](const auto& item) {
             return SaysSomething(item.key());
           });
  };
  if (says_nothing(b)) return a;
  if (says_nothing(a)) return b;
  for (const char* keyword : kUnevaluated) {
    if (a.contains(keyword) || b.contains(keyword)) {
      return Err(
          "\"{}\" beside anyOf or oneOf, in one of schemas that must both hold, is not "
          "supported",
          keyword);
    }
  }
  TRY(MergeTypes(&a, &b));
  if (a == false) return a;
  MergeValues(&a, &b);
  if (a == false) return a;
  MergeItems(&a, b);
  for (const OrderedJson& part : PropertyParts(b)) {
    // Each name of one object is searched for in the other object.
    work_.Spend(static_cast<int64_t>(a.value("properties", OrderedJson()).size() *
                                     part.value("properties", OrderedJson()).size()) /
                4);
    TRY(work_.Check());
    AddPropertyPart(&a, part);
  }
  for (const auto& [keyword, value] : b.items()) {
    if (IsOfProperties(keyword) || keyword == "allOf" || keyword == "items" ||
        keyword == "prefixItems") {
      continue;
    }
    if (!a.contains(keyword)) {
      a[keyword] = value;
    } else if (SaysSomething(keyword)) {
      // Each name of one list is searched for in the other list.
      work_.Spend(static_cast<int64_t>(a[keyword].size() * value.size()) / 4);
      TRY(work_.Check());
      TRY_ASSIGN(a[keyword], MergeKeyword(keyword, a[keyword], value));
    }
  }
  return a;
}

Result<OrderedJson> SchemaParts::Choose(const OrderedJson& beside,
                                        const OrderedJson& choice) const {
  OrderedJson others = beside;
  for (const char* keyword : kUnevaluated) others.erase(keyword);
  TRY_ASSIGN(OrderedJson chosen, Merge(others, choice));
  Evaluate(beside, &chosen);
  return chosen;
}

}  // namespace merope

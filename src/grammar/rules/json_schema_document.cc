// Parses the text of a JSON schema to a document in which a reference has the same meaning at every
// place.
#include <algorithm>
#include <string>
#include <utility>

#include "grammar/rules/json_schema_parts.h"

namespace merope {
namespace {

constexpr size_t kMaxMembers = 8192;  // limit of members in one object of a schema

// The value of a keyword in kData is data. The value of a keyword in kMaps is an object whose names
// the user chooses. The value of a keyword in kSchemas is a schema or a list of schemas.
constexpr std::string_view kData[] = {"const", "enum", "default", "examples"};
constexpr std::string_view kMaps[] = {"properties",  "patternProperties", "$defs",
                                      "definitions", "dependentSchemas",  "dependencies"};
constexpr std::string_view kSchemas[] = {"allOf",
                                         "anyOf",
                                         "oneOf",
                                         "not",
                                         "if",
                                         "then",
                                         "else",
                                         "items",
                                         "prefixItems",
                                         "additionalItems",
                                         "contains",
                                         "additionalProperties",
                                         "propertyNames",
                                         "unevaluatedItems",
                                         "unevaluatedProperties",
                                         "contentSchema"};

template <class List>
bool Has(const List& list, std::string_view keyword) {
  return std::ranges::find(list, keyword) != std::end(list);
}

std::string Below(const std::string& place, std::string_view part) {
  std::string out = place + "/";
  for (const char c : part) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else if (c == '%') {
      out += "%25";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

// Finds integers of more than 64 bits, which the JSON parser would round.
struct IntegerChecks : nlohmann::json_sax<OrderedJson> {
  std::string too_large;
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    if (text.find_first_of(".eE") == text.npos) too_large = text;
    return too_large.empty();
  }
  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(size_t /*size*/) override { return true; }
  bool key(string_t& /*value*/) override { return true; }
  bool end_object() override { return true; }
  bool start_array(size_t /*size*/) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(size_t /*at*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }
};

// The place of a schema. at: the pointer to the schema from the root of the document. base: the
// pointer from which the references in the schema start. early: whether the dialect is draft 7 or
// an earlier one.
struct Place {
  std::string at, base;
  bool early = false;
  bool is_schema = true;  // false below a keyword that is not known
};

Status Settle(Place place, OrderedJson* schema) {
  if (schema->is_array()) {
    for (size_t i = 0; i < schema->size(); ++i) {
      Place below = place;
      below.at = Below(place.at, std::to_string(i));
      TRY(Settle(std::move(below), &(*schema)[i]));
    }
    return {};
  }
  if (!schema->is_object()) return {};
  const auto text = [&](const char* keyword) {
    const auto found = schema->find(keyword);
    return found != schema->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const std::string dialect = text("$schema"), id = text("$id");
  if (!dialect.empty()) place.early = dialect.contains("/draft-0");
  const bool refers = schema->contains("$ref") && (*schema)["$ref"].is_string();
  const bool alone = refers && place.early;  // keywords beside such a $ref are ignored
  if (place.is_schema && !alone && !id.empty() && id[0] != '#') place.base = place.at;
  if (refers) {
    const std::string reference = text("$ref");
    if (reference == "#" || reference.starts_with("#/")) {
      (*schema)["$ref"] = "#" + place.base + reference.substr(1);
    }
  }
  for (const char* keyword : {"contentEncoding", "contentMediaType"}) {
    if (place.early && schema->contains(keyword)) return Err("\"{}\" is not supported", keyword);
  }
  if (alone) {
    OrderedJson kept = OrderedJson::object();
    for (auto& [keyword, value] : schema->items()) {
      if (keyword == "$ref" || !SaysSomething(keyword)) kept[keyword] = std::move(value);
    }
    *schema = std::move(kept);
  }
  for (auto& [keyword, value] : schema->items()) {
    if (Has(kData, keyword)) continue;
    Place below = place;
    below.at = Below(place.at, keyword);
    if (Has(kMaps, keyword) && value.is_object()) {
      for (auto& [name, part] : value.items()) {
        Place inside = below;
        inside.at = Below(below.at, name);
        TRY(Settle(std::move(inside), &part));
      }
    } else {
      below.is_schema = place.is_schema && Has(kSchemas, keyword);
      TRY(Settle(std::move(below), &value));
    }
  }
  return {};
}

// OrderedJson finds a name by a search through all names of its object, so the number of members is
// limited.
bool TooManyMembers(const Json& value) {
  if (value.is_object() && value.size() > kMaxMembers) return true;
  return value.is_structured() && std::ranges::any_of(value, TooManyMembers);
}

}  // namespace

Result<OrderedJson> SchemaDocument(std::string_view text) {
  TRY_ASSIGN(const Json sorted, ParseJson(text, "schema"));  // checks limits; reports errors
  if (TooManyMembers(sorted)) return Err("an object of more than {} members", kMaxMembers);
  IntegerChecks integers;
  OrderedJson::sax_parse(text, &integers);
  if (!integers.too_large.empty()) {
    return Err("expected integers of at most 64 bits, found {}", integers.too_large);
  }
  auto document = OrderedJson::parse(text, nullptr, false);
  CHECK(!document.is_discarded());
  TRY(Settle({}, &document));
  return document;
}

}  // namespace merope

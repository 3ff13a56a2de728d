#include "text/json_steps.h"

#include "text/splitters.h"

namespace merope {

Result<std::string> RequireString(const JsonFields& fields, const char* field) {
  TRY_ASSIGN(auto value, fields.String(field));
  if (!value) return Err("{}: {}: expected a string, found nothing", fields.where(), field);
  return *std::move(value);
}

Result<std::vector<const Json*>> FlattenSequence(const Json& json, const char* list,
                                                 const std::string& where) {
  const JsonFields fields(json, where);
  TRY_ASSIGN(const auto type, RequireString(fields, "type"));
  if (type != "Sequence") return std::vector{&json};
  const Json* elements = fields.Find(list);
  if (elements == nullptr || !elements->is_array()) {
    return Err("{}: {}: expected an array, found {}", where, list,
               elements == nullptr ? "nothing" : Describe(*elements));
  }
  std::vector<const Json*> flat;
  for (const Json& element : *elements) {
    TRY_ASSIGN(const auto inner, FlattenSequence(element, list, where));
    flat.insert(flat.end(), inner.begin(), inner.end());
  }
  return flat;
}

Result<std::optional<std::string>> ReadLiteral(const JsonFields& fields) {
  const std::string where = fields.where() + ": pattern";
  const Json* pattern = fields.Find("pattern");
  if (pattern != nullptr && pattern->is_string()) return pattern->get<std::string>();
  if (pattern != nullptr && pattern->is_object() && pattern->size() == 1) {
    const JsonFields inner(*pattern, where);
    if (inner.Has("String")) return inner.String("String");
    if (inner.Has("Regex")) return std::nullopt;
  }
  return Err("{}: expected {{\"String\": …}} or {{\"Regex\": …}}, found {}", where,
             pattern == nullptr ? "nothing" : Describe(*pattern));
}

Result<Matcher> ReadPattern(const JsonFields& fields) {
  TRY_ASSIGN(auto literal, ReadLiteral(fields));
  if (literal) return LiteralMatcher(*std::move(literal));
  const std::string where = fields.where() + ": pattern";
  TRY_ASSIGN(const auto regex, RequireString(JsonFields(*fields.Find("pattern"), where), "Regex"));
  if (auto known = KnownSplitter(regex)) return *std::move(known);
  return RegexMatcher(regex, where);
}

Status ReadNormalizer(const Json* json, const std::string& where, std::vector<Normalizer>* steps) {
  if (json == nullptr || json->is_null()) return {};
  TRY_ASSIGN(const auto flat, FlattenSequence(*json, "normalizers", where));
  for (const Json* element : flat) {
    const JsonFields fields(*element, where);
    TRY_ASSIGN(const auto type, RequireString(fields, "type"));
    if (type == "NFC") {
      steps->push_back(normalizers::UnicodeForm(unicode::Form::kNfc));
    } else if (type == "NFD") {
      steps->push_back(normalizers::UnicodeForm(unicode::Form::kNfd));
    } else if (type == "NFKC") {
      steps->push_back(normalizers::UnicodeForm(unicode::Form::kNfkc));
    } else if (type == "NFKD") {
      steps->push_back(normalizers::UnicodeForm(unicode::Form::kNfkd));
    } else if (type == "Lowercase") {
      steps->push_back(normalizers::LowerCase());
    } else if (type == "StripAccents") {
      steps->push_back(normalizers::StripAccents());
    } else if (type == "ByteLevel") {
      steps->push_back(normalizers::MapBytes());
    } else if (type == "Strip") {
      TRY_ASSIGN(const auto left, fields.Bool("strip_left"));
      TRY_ASSIGN(const auto right, fields.Bool("strip_right"));
      steps->push_back(normalizers::Strip(left.value_or(true), right.value_or(true)));
    } else if (type == "Prepend") {
      TRY_ASSIGN(auto prefix, RequireString(fields, "prepend"));
      steps->push_back(normalizers::Prepend(std::move(prefix)));
    } else if (type == "Replace") {
      TRY_ASSIGN(auto content, RequireString(fields, "content"));
      TRY_ASSIGN(auto matcher, ReadPattern(fields));
      steps->push_back(normalizers::Replace(std::move(matcher), std::move(content)));
    } else {
      return Err("{}: the normalizer {} is not supported", where, type);
    }
  }
  return {};
}

namespace {

Status AppendTemplate(const JsonFields& fields, PostProcessor* out) {
  const Json* single = fields.Find("single");
  const Json* specials = fields.Find("special_tokens");
  if (single == nullptr || !single->is_array()) {
    return Err("{}: single: expected an array", fields.where());
  }
  PostProcessor inner;
  bool seen = false;  // whether the loop has passed the sequence A, the text itself
  for (const Json& piece : *single) {
    const std::string where = fields.where() + ": single";
    if (!piece.is_object()) return Err("{}: expected objects, found {}", where, Describe(piece));
    if (const auto sequence = piece.find("Sequence"); sequence != piece.end()) {
      if (!sequence->is_object()) return Err("{}: Sequence: expected an object", where);
      TRY_ASSIGN(const auto id, RequireString(JsonFields(*sequence, where), "id"));
      if (id != "A" || seen) return Err("{}: expected the sequence A once", where);
      seen = true;
      continue;
    }
    const auto token = piece.find("SpecialToken");
    if (token == piece.end() || !token->is_object()) {
      return Err("{}: expected SpecialToken or Sequence, found {}", where, Describe(piece));
    }
    TRY_ASSIGN(const auto id, RequireString(JsonFields(*token, where), "id"));
    const Json* ids = nullptr;
    if (specials != nullptr && specials->is_object() && specials->contains(id)) {
      const Json& special = (*specials)[id];
      if (special.is_object() && special.contains("ids")) ids = &special["ids"];
    }
    if (ids == nullptr || !ids->is_array()) {
      return Err("{}: special_tokens: expected an entry with ids for {}", fields.where(), id);
    }
    for (const Json& value : *ids) {
      if (!value.is_number_unsigned() || value.get<uint64_t>() > INT32_MAX) {
        return Err("{}: special_tokens: {}: ids: expected token ids, found {}", fields.where(), id,
                   Describe(value));
      }
      (seen ? inner.suffix : inner.prefix).push_back(value.get<int32_t>());
    }
  }
  if (!seen) return Err("{}: single: expected the sequence A", fields.where());
  out->prefix.insert(out->prefix.begin(), inner.prefix.begin(), inner.prefix.end());
  out->suffix.insert(out->suffix.end(), inner.suffix.begin(), inner.suffix.end());
  return {};
}

}  // namespace

Status ReadPostProcessor(const Json* json, const std::string& where, PostProcessor* out) {
  if (json == nullptr || json->is_null()) return {};
  TRY_ASSIGN(const auto flat, FlattenSequence(*json, "processors", where));
  for (const Json* element : flat) {
    const JsonFields fields(*element, where);
    TRY_ASSIGN(const auto type, RequireString(fields, "type"));
    if (type == "TemplateProcessing") {
      TRY(AppendTemplate(fields, out));
    } else if (type != "ByteLevel") {  // ByteLevel changes only offsets, which merope does not use
      return Err("{}: the post-processor {} is not supported", where, type);
    }
  }
  return {};
}

}  // namespace merope

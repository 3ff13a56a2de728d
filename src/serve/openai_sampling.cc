#include "serve/openai_sampling.h"

#include <charconv>
#include <limits>
#include <string>
#include <utility>

#include "serve/fields.h"

namespace merope {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min(),
                  kMax = std::numeric_limits<int64_t>::max();

// ReadField: one overload per type of field.
Status ReadField(const JsonFields& body, const char* name, int64_t* value) {
  return Set(body.Integer(name, kMin, kMax), value);
}
Status ReadField(const JsonFields& body, const char* name, std::optional<int64_t>* value) {
  return Set(body.Integer(name, kMin, kMax), value);
}
Status ReadField(const JsonFields& body, const char* name, double* value) {
  return Set(body.Number(name), value);
}
Status ReadField(const JsonFields& body, const char* name, bool* value) {
  return Set(body.Bool(name), value);
}
Status ReadField(const JsonFields& body, const char* name, std::vector<int32_t>* value) {
  return Set(TokenIds(body, name), value);
}
Status ReadField(const JsonFields& body, const char* name,
                 std::optional<std::vector<int32_t>>* value) {
  return Set(TokenIds(body, name), value);
}

// The field "stop" also accepts a single string, which means an array of one string.
Status ReadField(const JsonFields& body, const char* name, std::vector<std::string>* value) {
  const Json* found = body.Find(name);
  if (found == nullptr || found->is_array() || std::string_view(name) != "stop")
    return Set(Strings(body, name), value);
  if (!found->is_string())
    return FieldErr(name, "expected a string or an array of strings, found {}", Describe(*found));
  *value = {found->get<std::string>()};
  return {};
}

// {"token id": bias}. The token ids are strings because keys in JSON are strings.
Status ReadField(const JsonFields& body, const char* name,
                 std::vector<std::pair<int32_t, double>>* value) {
  const Json* biases = body.Find(name);
  if (biases == nullptr) return {};
  if (!biases->is_object())
    return FieldErr(name, "expected an object, found {}", Describe(*biases));
  for (const auto& [key, bias] : biases->items()) {
    int32_t id = 0;
    const char* end = key.data() + key.size();
    if (const auto [at, error] = std::from_chars(key.data(), end, id);
        error != std::errc() || at != end)
      return FieldErr(name, "expected token ids as keys, found {}", Describe(key));
    if (!bias.is_number())
      return FieldErr(name, "expected a number for token {}, found {}", id, Describe(bias));
    value->emplace_back(id, bias.get<double>());
  }
  return {};
}

Status ReadField(const JsonFields& body, const char* name,
                 std::optional<RepetitionDetection>* value) {
  const Json* found = body.Find(name);
  if (found == nullptr) return {};
  if (!found->is_object()) return FieldErr(name, "expected an object, found {}", Describe(*found));
  const JsonFields fields(*found, name);
  RepetitionDetection& detection = value->emplace();
  TRY(Set(fields.Integer("max_pattern_size", kMin, kMax), &detection.max_pattern_size));
  TRY(Set(fields.Integer("min_pattern_size", kMin, kMax), &detection.min_pattern_size));
  TRY(Set(fields.Integer("min_count", kMin, kMax), &detection.min_count));
  return {};
}

// These two overloads do nothing. ReadStructuredOutputs reads structured_outputs from the body's
// text. ParseOpenAiRequest sets output_kind.
Status ReadField(const JsonFields& /*body*/, const char* /*name*/,
                 std::optional<StructuredOutputs>* /*value*/) {
  return {};
}
Status ReadField(const JsonFields& /*body*/, const char* /*name*/, OutputKind* /*value*/) {
  return {};
}

// The schema as written in the request's text. The order of its properties is the order of the
// properties in the answer.
Result<std::string> Schema(const Json& value, std::string_view raw, std::string_view field) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() || value.is_boolean()) return std::string(raw);
  return FieldErr(field, "expected a JSON schema, found {}", Describe(value));
}

Status ReadStructuredOutputs(const JsonFields& body, std::string_view text,
                             SamplingParams* params) {
  const Json* value = body.Find("structured_outputs");
  if (value == nullptr) return {};
  if (!value->is_object())
    return FieldErr("structured_outputs", "expected an object, found {}", Describe(*value));
  constexpr const char* kUnsupported[] = {"whitespace_pattern", "disable_any_whitespace",
                                          "disable_additional_properties"};
  const JsonFields fields(*value, "structured_outputs");
  TRY(RefuseUnsupported(fields, kUnsupported));
  const std::string_view raw = RawMember(text, "structured_outputs");
  StructuredOutputs& outputs = params->structured_outputs.emplace();
  if (const Json* schema = fields.Find("json")) {
    TRY_ASSIGN(outputs.json, Schema(*schema, RawMember(raw, "json"), "structured_outputs.json"));
  }
  TRY(Set(fields.String("regex"), &outputs.regex));
  TRY(Set(Strings(fields, "choice"), &outputs.choice));
  TRY(Set(fields.String("grammar"), &outputs.grammar));
  TRY(Set(fields.Bool("json_object"), &outputs.json_object));
  TRY(Set(fields.String("structural_tag"), &outputs.structural_tag));
  return {};
}

Status ReadResponseFormat(const JsonFields& body, std::string_view text, SamplingParams* params) {
  const Json* value = body.Find("response_format");
  if (value == nullptr) return {};
  if (!value->is_object())
    return FieldErr("response_format", "expected an object, found {}", Describe(*value));
  const JsonFields fields(*value, "response_format");
  const Json* found = fields.Find("type");
  const Json type = found == nullptr ? Json() : *found;
  if (type == "text") return {};
  if (params->structured_outputs)
    return FieldErr("response_format", "expected none beside structured_outputs, found {}",
                    Describe(type));
  StructuredOutputs outputs;
  if (type == "json_object") {
    outputs.json_object = true;
  } else if (type == "json_schema") {
    const Json* schema = fields.Find("json_schema");
    schema = schema == nullptr ? nullptr : JsonFields(*schema, "").Find("schema");
    if (schema == nullptr)
      return FieldErr("response_format.json_schema.schema", "expected a JSON schema, found none");
    const std::string_view raw =
        RawMember(RawMember(RawMember(text, "response_format"), "json_schema"), "schema");
    TRY_ASSIGN(outputs.json, Schema(*schema, raw, "response_format.json_schema.schema"));
  } else if (type == "structural_tag") {
    outputs.structural_tag = RawMember(text, "response_format");
  } else {
    return FieldErr("response_format.type",
                    "expected text, json_object, json_schema or structural_tag, found {}",
                    Describe(type));
  }
  params->structured_outputs = std::move(outputs);
  return {};
}

}  // namespace

Result<SamplingParams> ReadSamplingParams(const JsonFields& body, std::string_view text,
                                          const GenerationDefaults& defaults) {
  SamplingParams params;
  params.temperature = defaults.temperature.value_or(params.temperature);
  params.top_p = defaults.top_p.value_or(params.top_p);
  params.min_p = defaults.min_p.value_or(params.min_p);
  params.top_k = defaults.top_k.value_or(params.top_k);
  params.repetition_penalty = defaults.repetition_penalty.value_or(params.repetition_penalty);

  Status read;
  ForEachSamplingField([&](const char* name, auto member, FieldOwner owner, const FieldRange&) {
    if (read.has_value() && owner == FieldOwner::kRequest)
      read = ReadField(body, name, &(params.*member));
  });
  TRY(read);
  TRY(ReadStructuredOutputs(body, text, &params));
  TRY(ReadResponseFormat(body, text, &params));
  return params;
}

}  // namespace merope

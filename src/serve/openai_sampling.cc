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

// {"token id": bias}; JSON has no other keys than strings.
Status ReadLogitBias(const JsonFields& body, SamplingParams* params) {
  const Json* biases = body.Find("logit_bias");
  if (biases == nullptr) return {};
  if (!biases->is_object())
    return Err("logit_bias: expected an object, found {}", Describe(*biases));
  for (const auto& [key, bias] : biases->items()) {
    int32_t id = 0;
    const char* end = key.data() + key.size();
    if (const auto [at, error] = std::from_chars(key.data(), end, id);
        error != std::errc() || at != end)
      return Err("logit_bias: expected token ids as keys, found {}", Describe(key));
    if (!bias.is_number())
      return Err("logit_bias: expected a number for token {}, found {}", id, Describe(bias));
    params->logit_bias.emplace_back(id, bias.get<double>());
  }
  return {};
}

Status ReadStop(const JsonFields& body, SamplingParams* params) {
  const Json* stop = body.Find("stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) {
    params->stop = {stop->get<std::string>()};
    return {};
  }
  if (!stop->is_array())
    return Err("stop: expected a string or an array of strings, found {}", Describe(*stop));
  return Set(Strings(body, "stop"), &params->stop);
}

Status ReadRepetitionDetection(const JsonFields& body, SamplingParams* params) {
  const Json* value = body.Find("repetition_detection");
  if (value == nullptr) return {};
  if (!value->is_object())
    return Err("repetition_detection: expected an object, found {}", Describe(*value));
  const JsonFields fields(*value, "repetition_detection");
  RepetitionDetection& detection = params->repetition_detection.emplace();
  TRY(Set(fields.Integer("max_pattern_size", kMin, kMax), &detection.max_pattern_size));
  TRY(Set(fields.Integer("min_pattern_size", kMin, kMax), &detection.min_pattern_size));
  TRY(Set(fields.Integer("min_count", kMin, kMax), &detection.min_count));
  return {};
}

// A schema as it stands in the text: the order of its properties is that of the answer's.
Result<std::string> Schema(const Json& value, std::string_view raw, std::string_view field) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() || value.is_boolean()) return std::string(raw);
  return Err("{}: expected a JSON schema, found {}", field, Describe(value));
}

Status ReadStructuredOutputs(const JsonFields& body, std::string_view text,
                             SamplingParams* params) {
  const Json* value = body.Find("structured_outputs");
  if (value == nullptr) return {};
  if (!value->is_object())
    return Err("structured_outputs: expected an object, found {}", Describe(*value));
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
    return Err("response_format: expected an object, found {}", Describe(*value));
  const JsonFields fields(*value, "response_format");
  const Json* found = fields.Find("type");
  const Json type = found == nullptr ? Json() : *found;
  if (type == "text") return {};
  if (params->structured_outputs)
    return Err("response_format: expected none beside structured_outputs, found {}",
               Describe(type));
  StructuredOutputs outputs;
  if (type == "json_object") {
    outputs.json_object = true;
  } else if (type == "json_schema") {
    const Json* schema = fields.Find("json_schema");
    schema = schema == nullptr ? nullptr : JsonFields(*schema, "").Find("schema");
    if (schema == nullptr)
      return Err("response_format.json_schema.schema: expected a JSON schema, found none");
    const std::string_view raw =
        RawMember(RawMember(RawMember(text, "response_format"), "json_schema"), "schema");
    TRY_ASSIGN(outputs.json, Schema(*schema, raw, "response_format.json_schema.schema"));
  } else if (type == "structural_tag") {
    outputs.structural_tag = RawMember(text, "response_format");
  } else {
    return Err(
        "response_format.type: expected text, json_object, json_schema or structural_tag, found {}",
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

  TRY(Set(body.Integer("n", kMin, kMax), &params.n));
  TRY(Set(body.Number("presence_penalty"), &params.presence_penalty));
  TRY(Set(body.Number("frequency_penalty"), &params.frequency_penalty));
  TRY(Set(body.Number("repetition_penalty"), &params.repetition_penalty));
  TRY(Set(body.Number("temperature"), &params.temperature));
  TRY(Set(body.Number("top_p"), &params.top_p));
  TRY(Set(body.Number("min_p"), &params.min_p));
  TRY(Set(body.Integer("top_k", kMin, kMax), &params.top_k));
  TRY(Set(body.Integer("seed", kMin, kMax), &params.seed));
  TRY(ReadStop(body, &params));
  TRY(Set(TokenIds(body, "stop_token_ids"), &params.stop_token_ids));
  TRY(Set(Strings(body, "bad_words"), &params.bad_words));
  TRY(Set(body.Integer("min_tokens", kMin, kMax), &params.min_tokens));
  TRY(ReadLogitBias(body, &params));
  TRY(Set(TokenIds(body, "allowed_token_ids"), &params.allowed_token_ids));
  TRY(ReadStructuredOutputs(body, text, &params));
  TRY(ReadResponseFormat(body, text, &params));
  TRY(ReadRepetitionDetection(body, &params));
  TRY(Set(body.Bool("ignore_eos"), &params.ignore_eos));
  TRY(Set(body.Bool("include_stop_str_in_output"), &params.include_stop_str_in_output));
  TRY(Set(body.Bool("skip_special_tokens"), &params.skip_special_tokens));
  TRY(Set(body.Bool("spaces_between_special_tokens"), &params.spaces_between_special_tokens));
  return params;
}

}  // namespace merope

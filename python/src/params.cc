// Sampling parameters from the fields of Python's SamplingParams: what has a wrong type is a
// TypeError that names the field, what has a wrong value the engine's own error.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "convert.h"
#include "engine/sampling_params.h"

namespace merope::python {
namespace {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// target = object[name]; expected says what that should be.
template <class T>
void Read(const nb::dict& object, const char* name, const char* expected, T* target) {
  const nb::object value = object[name];
  if constexpr (!IsOptional<T>::value) {
    if (nb::try_cast(value, *target)) return;
  } else {
    typename T::value_type found;
    target->reset();
    if (value.is_none()) return;
    if (nb::try_cast(value, found)) {
      *target = std::move(found);
      return;
    }
  }
  const std::string type = nb::cast<std::string>(nb::repr(value));
  throw nb::type_error(fmt::format("{}: expected {}, found {}", name, expected, type).c_str());
}

std::optional<StructuredOutputs> ReadStructuredOutputs(const nb::dict& params) {
  std::optional<nb::dict> fields;
  Read(params, "structured_outputs", "a dict or None", &fields);
  if (!fields) return std::nullopt;
  const nb::dict& object = *fields;
  StructuredOutputs outputs;
  Read(object, "json", "a JSON schema as a string", &outputs.json);
  Read(object, "regex", "a string or None", &outputs.regex);
  Read(object, "choice", "a list of strings or None", &outputs.choice);
  Read(object, "grammar", "a string or None", &outputs.grammar);
  Read(object, "json_object", "a bool", &outputs.json_object);
  Read(object, "structural_tag", "a string or None", &outputs.structural_tag);
  return outputs;
}

std::optional<RepetitionDetection> ReadRepetitionDetection(const nb::dict& params) {
  std::optional<nb::dict> fields;
  Read(params, "repetition_detection", "a dict or None", &fields);
  if (!fields) return std::nullopt;
  const nb::dict& object = *fields;
  RepetitionDetection detection;
  Read(object, "max_pattern_size", "an int", &detection.max_pattern_size);
  Read(object, "min_pattern_size", "an int", &detection.min_pattern_size);
  Read(object, "min_count", "an int", &detection.min_count);
  return detection;
}

SamplingParams ReadParams(const nb::dict& object) {
  SamplingParams params;
  Read(object, "n", "an int", &params.n);
  Read(object, "presence_penalty", "a number", &params.presence_penalty);
  Read(object, "frequency_penalty", "a number", &params.frequency_penalty);
  Read(object, "repetition_penalty", "a number", &params.repetition_penalty);
  Read(object, "temperature", "a number", &params.temperature);
  Read(object, "top_p", "a number", &params.top_p);
  Read(object, "top_k", "an int", &params.top_k);
  Read(object, "min_p", "a number", &params.min_p);
  Read(object, "seed", "an int or None", &params.seed);
  Read(object, "stop", "a list of strings", &params.stop);
  Read(object, "stop_token_ids", "a list of ints", &params.stop_token_ids);
  Read(object, "bad_words", "a list of strings", &params.bad_words);
  Read(object, "max_tokens", "an int or None", &params.max_tokens);
  Read(object, "min_tokens", "an int", &params.min_tokens);
  Read(object, "logprobs", "an int or None", &params.logprobs);
  Read(object, "prompt_logprobs", "an int or None", &params.prompt_logprobs);
  std::optional<nb::dict> bias;
  Read(object, "logit_bias", "a dict of ints and numbers, or None", &bias);
  if (bias) {
    for (const auto [id, value] : *bias) {
      std::pair<int32_t, double> entry;
      if (!nb::try_cast(id, entry.first) || !nb::try_cast(value, entry.second))
        throw nb::type_error("logit_bias: expected a dict of ints and numbers");
      params.logit_bias.push_back(entry);
    }
  }
  Read(object, "allowed_token_ids", "a list of ints or None", &params.allowed_token_ids);
  params.structured_outputs = ReadStructuredOutputs(object);
  params.repetition_detection = ReadRepetitionDetection(object);
  Read(object, "ignore_eos", "a bool", &params.ignore_eos);
  Read(object, "include_stop_str_in_output", "a bool", &params.include_stop_str_in_output);
  Read(object, "detokenize", "a bool", &params.detokenize);
  Read(object, "skip_special_tokens", "a bool", &params.skip_special_tokens);
  Read(object, "spaces_between_special_tokens", "a bool", &params.spaces_between_special_tokens);
  Read(object, "skip_reading_prefix_cache", "a bool", &params.skip_reading_prefix_cache);
  int64_t kind = 0;
  Read(object, "output_kind", "an int", &kind);
  params.output_kind = static_cast<OutputKind>(kind);
  return params;
}

}  // namespace

void BindParams(nb::module_& m) {
  // A request's parameters as the engine takes them.
  nb::class_<SamplingParams>(m, "Params")
      .def(
          "__init__",
          [](SamplingParams* self, const nb::dict& fields) {
            new (self) SamplingParams(ReadParams(fields));
          },
          nb::arg("fields"), nb::sig("def __init__(self, fields: dict[str, object]) -> None"))
      // What a model limits is checked with the request.
      .def(
          "settle",
          [](SamplingParams& self) {
            Unwrap(Settle(&self,
                          {.vocab_size = std::numeric_limits<int32_t>::max(), .max_logprobs = -1}));
          },
          "Checks all fields, and settles those that depend on others.")
      .def_ro("temperature", &SamplingParams::temperature)
      .def_ro("top_p", &SamplingParams::top_p)
      .def_ro("top_k", &SamplingParams::top_k)
      .def_ro("min_p", &SamplingParams::min_p)
      .def_ro("seed", &SamplingParams::seed)
      .def_prop_rw(
          "final_only",
          [](const SamplingParams& self) { return self.output_kind == OutputKind::kFinalOnly; },
          [](SamplingParams& self, bool final_only) {
            self.output_kind = final_only ? OutputKind::kFinalOnly : OutputKind::kCumulative;
          });
}

}  // namespace merope::python

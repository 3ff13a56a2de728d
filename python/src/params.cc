// Makes the engine's sampling parameters from the fields of Python's SamplingParams. A field of a
// wrong type raises a TypeError that names the field. A field with a wrong value gives the engine's
// own error.
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
#include "fields.h"

namespace merope::python {
namespace {

using python::ReadField;

void ReadField(const nb::dict& object, const char* name, OutputKind* kind) {
  int64_t number = 0;
  Read(object, name, "an int", &number);
  *kind = static_cast<OutputKind>(number);
}

void ReadField(const nb::dict& object, const char* name,
               std::vector<std::pair<int32_t, double>>* biases) {
  std::optional<nb::dict> found;
  Read(object, name, "a dict of ints and numbers, or None", &found);
  if (!found) return;
  for (const auto [id, value] : *found) {
    std::pair<int32_t, double> entry;
    if (!nb::try_cast(id, entry.first) || !nb::try_cast(value, entry.second))
      throw nb::type_error(fmt::format("{}: expected a dict of ints and numbers", name).c_str());
    biases->push_back(entry);
  }
}

void ReadField(const nb::dict& object, const char* name, std::optional<StructuredOutputs>* target) {
  std::optional<nb::dict> fields;
  Read(object, name, "a dict or None", &fields);
  if (!fields) return;
  StructuredOutputs& outputs = target->emplace();
  Read(*fields, "json", "a JSON schema as a string", &outputs.json);
  Read(*fields, "regex", "a string or None", &outputs.regex);
  Read(*fields, "choice", "a list of strings or None", &outputs.choice);
  Read(*fields, "grammar", "a string or None", &outputs.grammar);
  Read(*fields, "json_object", "a bool", &outputs.json_object);
  Read(*fields, "structural_tag", "a string or None", &outputs.structural_tag);
}

void ReadField(const nb::dict& object, const char* name,
               std::optional<RepetitionDetection>* target) {
  std::optional<nb::dict> fields;
  Read(object, name, "a dict or None", &fields);
  if (!fields) return;
  RepetitionDetection& detection = target->emplace();
  Read(*fields, "max_pattern_size", "an int", &detection.max_pattern_size);
  Read(*fields, "min_pattern_size", "an int", &detection.min_pattern_size);
  Read(*fields, "min_count", "an int", &detection.min_count);
}

SamplingParams ReadParams(const nb::dict& object) {
  SamplingParams params;
  ForEachSamplingField([&](const char* name, auto member, FieldOwner, const FieldRange&) {
    ReadField(object, name, &(params.*member));
  });
  return params;
}

// A field's default as Python has it; None for lists and objects.
template <class T>
nb::object DefaultOf(const T& value) {
  if constexpr (std::is_arithmetic_v<T>) return nb::cast(value);
  if constexpr (std::is_same_v<T, std::optional<int64_t>>)
    if (value) return nb::cast(*value);
  return nb::none();
}

nb::dict Defaults() {
  nb::dict defaults;
  const SamplingParams params;
  ForEachSamplingField([&](const char* name, auto member, FieldOwner, const FieldRange&) {
    defaults[name] = DefaultOf(params.*member);
  });
  return defaults;
}

}  // namespace

void BindParams(nb::module_& m) {
  // The parameters of a request, in the form that the engine takes.
  nb::class_<SamplingParams>(m, "Params")
      .def(
          "__init__",
          [](SamplingParams* self, const nb::dict& fields) {
            new (self) SamplingParams(ReadParams(fields));
          },
          nb::arg("fields"), nb::sig("def __init__(self, fields: dict[str, object]) -> None"))
      // Limits that depend on the model are checked later, when a request is submitted.
      .def(
          "settle",
          [](SamplingParams& self) {
            Unwrap(Settle(&self,
                          {.vocab_size = std::numeric_limits<int32_t>::max(), .max_logprobs = -1}));
          },
          "Checks all fields, and sets the fields that depend on others.")
      .def_static("defaults", &Defaults, nb::sig("def defaults() -> dict[str, object]"),
                  "Returns every field and its default value; None for lists and objects.")
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

#include "text/tokenizer.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "convert.h"
#include "prompt/encode_prompt.h"

namespace merope::python {

using nb::literals::operator""_a;

void BindTokenizer(nb::module_& m) {
  const nb::call_guard<nb::gil_scoped_release> without_gil;
  nb::class_<Tokenizer>(m, "Tokenizer")
      .def(
          "encode",
          [](const Tokenizer& self, std::string_view text, bool add_special) {
            return Unwrap(self.Encode(text, {.add_special = add_special}));
          },
          "text"_a, "add_special"_a, without_gil)
      // Encodes the prompt of a request. If the text already begins with the tokenizer's prefix
      // (BOS), no second prefix is added.
      .def(
          "encode_prompt",
          [](const Tokenizer& self, std::string_view text, bool add_prefix) {
            return Unwrap(EncodePrompt(self, text, add_prefix));
          },
          "text"_a, "add_prefix"_a, without_gil)
      .def(
          "decode",
          [](const Tokenizer& self, const std::vector<int32_t>& ids, bool skip_special) {
            return Unwrap(self.Decode(ids, skip_special));
          },
          "ids"_a, "skip_special"_a, without_gil)
      .def("token_to_id", &Tokenizer::TokenToId, "token"_a)
      .def(
          "id_to_token",
          [](const Tokenizer& self, int32_t id) {
            if (id < 0 || id >= self.vocab_size())
              throw nb::value_error(
                  fmt::format("token: expected 0 to {}, found {}", self.vocab_size() - 1, id)
                      .c_str());
            return std::string(self.IdToToken(id));
          },
          "id"_a)
      .def("is_special", &Tokenizer::IsSpecial, "id"_a)
      .def_prop_ro("vocab_size", &Tokenizer::vocab_size);
}

}  // namespace merope::python

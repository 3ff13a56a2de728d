// Between C++ and Python: errors become exceptions. Used by the bindings, on threads that hold the
// GIL or not.
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "base/error.h"

namespace merope::python {

namespace nb = nanobind;

// The value; an error becomes a ValueError with the same message.
template <class T>
T Unwrap(Result<T> result) {
  if (!result) throw nb::value_error(result.error().message.c_str());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void BindParams(nb::module_& m);
void BindTokenizer(nb::module_& m);
void BindEvents(nb::module_& m);
void BindModel(nb::module_& m);

}  // namespace merope::python

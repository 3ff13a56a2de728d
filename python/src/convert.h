// Converts C++ errors to Python exceptions, and declares the functions that bind each part of the
// module. The bindings call Unwrap on any thread, with or without the GIL. module.cc calls the Bind
// functions.
#pragma once

#include <nanobind/nanobind.h>

#include <stdexcept>
#include <utility>

#include "base/error.h"

namespace merope::python {

namespace nb = nanobind;

// Returns the value. If result is an error, throws: kInternal becomes a RuntimeError, and any other
// error becomes a ValueError. The exception has the message of the error.
template <class T>
T Unwrap(Result<T> result) {
  if (!result && result.error().code == ErrorCode::kInternal)
    throw std::runtime_error(result.error().message);
  if (!result) throw nb::value_error(result.error().message.c_str());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void BindParams(nb::module_& m);
void BindTokenizer(nb::module_& m);
void BindEvents(nb::module_& m);
void BindModel(nb::module_& m);
void BindJob(nb::module_& m);
void BindMeasure(nb::module_& m);

}  // namespace merope::python

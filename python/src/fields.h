// Reads the fields of a Python dict into C++ values. A field of a wrong type raises a TypeError
// that names the field. The bindings call these functions with the GIL.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "convert.h"

namespace merope::python {

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

// Sets target to object[name]. `expected` describes the expected type, for errors.
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

// Describes the expected type of a field, for errors.
inline const char* Expected(const int64_t*) { return "an int"; }
inline const char* Expected(const std::optional<int64_t>*) { return "an int or None"; }
inline const char* Expected(const int*) { return "an int"; }
inline const char* Expected(const uint64_t*) { return "an int from 0 on"; }
inline const char* Expected(const std::optional<uint64_t>*) { return "an int from 0 on, or None"; }
inline const char* Expected(const std::string*) { return "a string"; }
inline const char* Expected(const std::optional<std::string>*) { return "a string or None"; }
inline const char* Expected(const std::vector<int64_t>*) { return "a list of ints"; }
inline const char* Expected(const double*) { return "a number"; }
inline const char* Expected(const bool*) { return "a bool"; }
inline const char* Expected(const std::vector<std::string>*) { return "a list of strings"; }
inline const char* Expected(const std::vector<int32_t>*) { return "a list of ints"; }
inline const char* Expected(const std::optional<std::vector<int32_t>>*) {
  return "a list of ints or None";
}

template <class T>
void ReadField(const nb::dict& object, const char* name, T* target) {
  Read(object, name, Expected(target), target);
}

}  // namespace merope::python

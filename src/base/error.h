// Errors as values. Bad input or I/O gives a Result that says what was expected and what was found;
// a broken invariant of our own ends the process through CHECK. No exception crosses a layer.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

namespace merope {

struct [[nodiscard]] Error {
  std::string message;
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// Err("{}: expected {}, found {}", file, a, b) is returned where a Result is wanted.
template <class... Args>
std::unexpected<Error> Err(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...)});
}

// The same error, with the place it happened in put before it.
inline std::unexpected<Error> Within(const std::string& place, const Error& error) {
  return std::unexpected(Error{place + ": " + error.message});
}

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);

}  // namespace merope

// CHECK(condition) or CHECK(condition, "format {}", args...): an invariant of our own, in every
// build.
#define CHECK(condition, ...)                                                               \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::merope::CheckFailed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)

#define MEROPE_CONCAT_INNER(a, b) a##b
#define MEROPE_CONCAT(a, b) MEROPE_CONCAT_INNER(a, b)

// TRY(expression): returns its error, if any. TRY_ASSIGN(auto x, expression): x is its value, or
// its error is returned.
#define TRY(...)                                                   \
  do {                                                             \
    if (auto try_status = (__VA_ARGS__); !try_status) [[unlikely]] \
      return std::unexpected(std::move(try_status).error());       \
  } while (false)
#define TRY_ASSIGN_AS(name, target, ...)             \
  auto name = (__VA_ARGS__);                         \
  if (!name) [[unlikely]]                            \
    return std::unexpected(std::move(name).error()); \
  target = std::move(*name)
#define TRY_ASSIGN(target, ...) \
  TRY_ASSIGN_AS(MEROPE_CONCAT(try_result_, __LINE__), target, __VA_ARGS__)

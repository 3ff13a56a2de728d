// Errors as values. Bad input or failed I/O gives a Result with an error that says what was
// expected and what was found. A broken invariant of merope's own code ends the process through
// CHECK. No exception crosses a layer.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace merope {

enum class ErrorCode : uint8_t {
  kInvalid,     // an unusable input: a file, an option, or a field of a request
  kNotFound,    // the requested thing does not exist, for example a model of that name
  kOverloaded,  // there is no room for the request now, or the request's time limit has passed
  kInternal,    // a fault of merope or of the machine
};

struct [[nodiscard]] Error {
  std::string message;  // also names the field, if there is one
  ErrorCode code = ErrorCode::kInvalid;
  // The path of the field that the error is about: "top_p", "messages[0].role". Empty: no field.
  std::string field = {};
};

template <class T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// A function that returns a Result returns Err("{}: expected {}, found {}", file, a, b).
template <class... Args>
std::unexpected<Error> Err(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...)});
}

// FieldErr("top_p", "expected {}, found {}", a, b) is an error about the field top_p. The message
// begins with the name of the field.
template <class... Args>
std::unexpected<Error> FieldErr(std::string_view field, fmt::format_string<Args...> format,
                                Args&&... args) {
  return std::unexpected(Error{
      .message = fmt::format("{}: {}", field, fmt::format(format, std::forward<Args>(args)...)),
      .field = std::string(field)});
}

// Within returns the same error with the place of the error before the message. WithinField puts
// the field before the message and also sets the error's field; use it for an error that has no
// field.
inline std::unexpected<Error> Within(const std::string& place, const Error& error) {
  return std::unexpected(Error{place + ": " + error.message, error.code, error.field});
}
inline std::unexpected<Error> WithinField(const std::string& field, const Error& error) {
  return std::unexpected(Error{field + ": " + error.message, error.code, field});
}

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& message);

}  // namespace merope

// CHECK(condition) or CHECK(condition, "format {}", args...) tests an invariant of merope's own
// code. Every build contains the test.
#define CHECK(condition, ...)                                                               \
  do {                                                                                      \
    if (!(condition)) [[unlikely]]                                                          \
      ::merope::CheckFailed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)

#define MEROPE_CONCAT_INNER(a, b) a##b
#define MEROPE_CONCAT(a, b) MEROPE_CONCAT_INNER(a, b)

// TRY(expression): if the expression holds an error, the calling function returns the error.
// TRY_ASSIGN(auto x, expression): the same, and x gets the value of the expression otherwise.
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

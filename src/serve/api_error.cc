#include "serve/api_error.h"

namespace merope {
namespace {

// The HTTP status and the error type. The type names are the names that vLLM's server uses.
struct Kind {
  int status;
  const char* type;
};
Kind KindOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid:
      return {400, "BadRequestError"};
    case ErrorCode::kNotFound:
      return {404, "NotFoundError"};
    case ErrorCode::kOverloaded:
      return {503, "ServiceUnavailableError"};
    case ErrorCode::kInternal:
      break;
  }
  return {500, "InternalServerError"};
}

}  // namespace

int HttpStatus(ErrorCode code) { return KindOf(code).status; }

OrderedJson ErrorJson(const Error& error) {
  const auto [status, type] = KindOf(error.code);
  return {{"message", error.message},
          {"type", type},
          {"param", error.field.empty() ? OrderedJson(nullptr) : OrderedJson(error.field)},
          {"code", status}};
}

}  // namespace merope

#include "serve/api_error.h"

#include <string_view>
#include <utility>

namespace merope {

ApiError::ApiError(const Error& bad_request) : message(bad_request.message) {
  constexpr std::string_view kFieldCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.[]";
  const size_t end = message.find_first_not_of(kFieldCharacters);
  if (end != message.npos && message[end] == ':') param = message.substr(0, end);
}

ApiError ApiError::NoSuchModel(const std::string& found) {
  ApiError error(Error{"model: expected one that is served here, found " + found});
  error.status = 404;
  error.type = "NotFoundError";
  return error;
}

ApiError ApiError::Internal(std::string message) {
  ApiError error(Error{std::move(message)});
  error.status = 500;
  error.type = "InternalServerError";
  error.param.clear();
  return error;
}

nlohmann::ordered_json ErrorJson(const ApiError& error) {
  using Json = nlohmann::ordered_json;
  return {{"message", error.message},
          {"type", error.type},
          {"param", error.param.empty() ? Json(nullptr) : Json(error.param)},
          {"code", error.status}};
}

}  // namespace merope

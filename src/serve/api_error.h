// What a client is told whose request cannot be done: an HTTP status, and OpenAI's error object.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace merope {

struct ApiError {
  // The client's fault. Our messages begin with the field that they are about, as in "top_p:
  // expected …": it is the param.
  ApiError(const Error& bad_request);
  static ApiError NoSuchModel(const std::string& found);  // described
  static ApiError Internal(std::string message);

  int status = 400;
  std::string type = "BadRequestError", message;
  std::string param;  // empty: none
};

// {message, type, param, code}.
nlohmann::ordered_json ErrorJson(const ApiError& error);

}  // namespace merope

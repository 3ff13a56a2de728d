// Turns an Error into the answer to a client whose request failed. Called by the batch and by
// OpenAiAnswer. Pure functions; any thread may call them.
#pragma once

#include "base/error.h"
#include "base/json.h"

namespace merope {

int HttpStatus(ErrorCode code);  // 400, 404, …

// OpenAI's error object: {message, type, param, code}. param is Error::field, or null if the field
// is empty. code is the HTTP status.
OrderedJson ErrorJson(const Error& error);

}  // namespace merope

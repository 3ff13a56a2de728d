// A verification's result as JSON: all of it, under the names of result.h.
#pragma once

#include <nlohmann/json.hpp>

#include "verify/result.h"

namespace merope {

nlohmann::ordered_json ToJson(const VerifyResult& result);

}  // namespace merope

// Converts the whole result of a verification to JSON, with the names of result.h. Called by
// `merope verify` and `merope report`. Pure functions: any thread may call them.
#pragma once

#include <nlohmann/json.hpp>

#include "verify/result.h"

namespace merope {

nlohmann::ordered_json ToJson(const VerifyResult& result);

}  // namespace merope

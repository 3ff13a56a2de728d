// Converts the whole result of a verification to JSON, with the names of result.h. Called by
// `merope verify` and `merope report`. Pure functions: any thread may call them.
#pragma once

#include "base/json.h"
#include "verify/result.h"

namespace merope {

OrderedJson ToJson(const VerifyResult& result);
OrderedJson ToJson(const GateResult& gate);

}  // namespace merope

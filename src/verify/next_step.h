// Chooses the command to run after an INCONCLUSIVE verdict. Called by the tables of `merope verify`
// and by `merope report`. Pure functions: any thread may call them.
#pragma once

#include <string>

#include "verify/result.h"

namespace merope {

struct NextStep {
  int64_t needed = 0;     // positions that settle every gate; 0: unknown
  int64_t positions = 0;  // approximate number of positions of `mode`
  VerifyMode mode = VerifyMode::kDefault;
  bool enough = false;  // `mode` is larger than the mode of the result, and positions ≥ needed > 0
};
// Returns the smallest mode with enough positions, or kFull if no mode has enough. The verdict of
// the result must be INCONCLUSIVE.
NextStep WhatSettles(const VerifyResult& result);

// "merope verify MODEL --full --dtype bf16"
std::string Command(const NextStep& step, const VerifyResult& result);

}  // namespace merope

// What to run after an INCONCLUSIVE verdict. Pure.
#pragma once

#include <string>

#include "verify/result.h"

namespace merope {

struct NextStep {
  int64_t needed = 0;     // positions that settle every gate; 0: no number is known
  int64_t positions = 0;  // about so many the mode has
  VerifyMode mode = VerifyMode::kDefault;
  bool enough = false;
};
// The smallest mode with positions enough, or the largest. Only of a result whose verdict is
// INCONCLUSIVE.
NextStep WhatSettles(const VerifyResult& result);

// "merope verify MODEL --full --dtype bf16"
std::string Command(const NextStep& step, const VerifyResult& result);

}  // namespace merope

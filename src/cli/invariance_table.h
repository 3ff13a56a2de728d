// The terminal table of `merope verify --invariance`. A pure function.
#pragma once

#include <string>

#include "verify/invariance.h"

namespace merope {

std::string InvarianceTable(const InvarianceResult& result, bool color);

}  // namespace merope

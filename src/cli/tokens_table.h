// The terminal table of `merope verify --tokens`. A pure function.
#pragma once

#include <string>

#include "verify/token_audit.h"

namespace merope {

std::string TokensTable(const TokensResult& result, bool color);

}  // namespace merope

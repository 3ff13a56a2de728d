// What `merope verify` prints for people.
#pragma once

#include <string>

#include "verify/result.h"

namespace merope {

std::string VerifyTable(const VerifyResult& result, bool color);

}  // namespace merope

// What `merope verify` prints for people.
#pragma once

#include <string>

#include "verify/suite.h"

namespace merope {

std::string VerifyTable(const VerifyResult& result, bool color);

}  // namespace merope

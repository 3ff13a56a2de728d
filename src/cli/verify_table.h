// Writes the tables that `merope verify` prints for people. Called on the main thread.
#pragma once

#include <string>

#include "verify/result.h"

namespace merope {

std::string VerifyTable(const VerifyResult& result, bool color);

}  // namespace merope

// What `merope verify` prints for people.
#pragma once

#include <string>

#include "verify/result.h"

namespace merope {

// What verify and report exit with.
int ExitCode(Verdict verdict);

std::string VerifyTable(const VerifyResult& result, bool color);

}  // namespace merope

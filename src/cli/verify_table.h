// Writes the tables that `merope verify` prints for people. Called on the main thread.
#pragma once

#include <string>

#include "verify/digits.h"
#include "verify/result.h"

namespace merope {

// "PASS", with the color of the verdict if `color` is set.
std::string ColoredVerdict(Verdict verdict, bool color);
// One line: label, value, interval, limit, verdict and note.
std::string GateLine(const GateResult& gate, Unit unit, bool color);

std::string VerifyTable(const VerifyResult& result, bool color);

}  // namespace merope

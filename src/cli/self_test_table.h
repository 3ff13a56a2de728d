// Writes the table that `merope verify --self-test` prints for people. Called on the main thread.
#pragma once

#include <string>

#include "verify/self_test.h"

namespace merope {

std::string SelfTestTable(const SelfTestResult& result, bool color);

}  // namespace merope

// The instruction sets that the kernels were compiled for and this CPU has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace merope::cpu {

// Highway's names, the best first ("AVX3_ZEN4", "AVX3", "AVX2", "SSE4", "SSE2").
std::vector<std::string> SelectableTargets();

// Back ends made from now on use this one; for the whole process, and so for tests and comparisons
// only. An empty name goes back to the best; one that is not selectable is an error.
Status ChooseTarget(std::string_view name);

// The same for a name that SelectableTargets has.
void SelectTarget(std::string_view name);

}  // namespace merope::cpu

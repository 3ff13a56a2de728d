// The instruction sets that the kernels are compiled for and this CPU has. Called by cli/, bench/
// and tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace merope::cpu {

// The instruction sets that ChooseTarget accepts, by Highway's names, the best first ("AVX3_ZEN4",
// "AVX3", "AVX2", "SSE4", "SSE2").
std::vector<std::string> SelectableTargets();

// The instruction set of back ends made now.
std::string_view TargetInUse();

// Back ends made from now on use this instruction set. The choice holds for the whole process.
// Tests, comparisons and the variable MEROPE_TARGET make this choice. An empty name selects the
// best instruction set again. A name that is not selectable is an error.
Status ChooseTarget(std::string_view name);

// The same as ChooseTarget, but an error fails a CHECK.
void SelectTarget(std::string_view name);

}  // namespace merope::cpu

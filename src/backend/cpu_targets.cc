#include "backend/cpu_targets.h"

#include <fmt/ranges.h>

#include "backend/cpu/kernels/kernels.h"
#include "hwy/highway.h"

namespace merope::cpu {
namespace {

// Visits the bits of hwy::SupportedTargets from the lowest bit on. The lowest bit is the best
// instruction set.
template <class Visit>
void ForSelectable(const Visit& visit) {
  for (int64_t left = hwy::SupportedTargets() & HWY_TARGETS; left != 0; left &= left - 1)
    visit(left & -left);
}

}  // namespace

std::vector<std::string> SelectableTargets() {
  std::vector<std::string> names;
  ForSelectable([&](int64_t target) { names.emplace_back(hwy::TargetName(target)); });
  return names;
}

std::string_view TargetInUse() { return GetElementwiseKernels().target; }

Status ChooseTarget(std::string_view name) {
  hwy::SetSupportedTargetsForTest(0);
  if (name.empty()) return {};
  int64_t chosen = 0;
  ForSelectable([&](int64_t target) { chosen |= name == hwy::TargetName(target) ? target : 0; });
  if (chosen == 0)
    return Err("expected an instruction set of this machine ({}), found \"{}\"",
               fmt::join(SelectableTargets(), ", "), name);
  hwy::SetSupportedTargetsForTest(chosen);
  return {};
}

void SelectTarget(std::string_view name) {
  const Status chosen = ChooseTarget(name);
  CHECK(chosen, "{}", chosen.error().message);
}

}  // namespace merope::cpu

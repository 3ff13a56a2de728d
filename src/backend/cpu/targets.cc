#include "backend/cpu/targets.h"

#include "base/error.h"
#include "hwy/highway.h"

namespace merope::cpu {
namespace {

// Bits of hwy::SupportedTargets, the best being the lowest.
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

void SelectTarget(std::string_view name) {
  hwy::SetSupportedTargetsForTest(0);
  if (name.empty()) return;
  int64_t chosen = 0;
  ForSelectable([&](int64_t target) { chosen |= name == hwy::TargetName(target) ? target : 0; });
  CHECK(chosen != 0, "no target {}", name);
  hwy::SetSupportedTargetsForTest(chosen);
}

}  // namespace merope::cpu

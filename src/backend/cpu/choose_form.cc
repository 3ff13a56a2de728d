#include "backend/cpu/choose_form.h"

#include <algorithm>

#include "base/stopwatch.h"

namespace merope::cpu {
namespace {

constexpr int64_t kSampleBytes = int64_t{64} << 20;
constexpr int kRounds = 3;

}  // namespace

bool PackedIsFaster(const PackedMatrix& matrix, const Ops& ops, ThreadTeam& team) {
  const int64_t panel_units = matrix.k_steps * matrix.panel;
  const int64_t panels = std::min(matrix.panels(), kSampleBytes / (4 * panel_units));
  PackedMatrix plain;
  plain.form = WeightForm::kBf16;
  plain.panel = matrix.panel;
  plain.k_steps = matrix.k_steps;
  plain.in_features = matrix.in_features;
  plain.out_features = panels * matrix.panel;
  plain.units = PageArray<uint32_t>(panels * panel_units);
  team.ForRanges(panels, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      ops.matmul().unpack(matrix.packed[static_cast<size_t>(p)], matrix.k_steps,
                          plain.units.data() + p * panel_units);
  });

  std::vector<uint32_t> x(static_cast<size_t>(matrix.k_steps));
  std::vector<float> out(static_cast<size_t>(panels * matrix.panel));
  std::vector<PageArray<uint32_t>> unpacked(static_cast<size_t>(team.size()));
  const auto seconds = [&](const PackedMatrix& weights) {
    const Stopwatch watch;
    team.Run([&](int thread) {
      const Range range = Share(panels, thread, team.size());
      for (int64_t p = range.begin; p < range.end; ++p)
        ops.OnePanel(weights, {x.data(), matrix.k_steps}, 1, p, out.data() + p * matrix.panel,
                     &unpacked[static_cast<size_t>(thread)]);
    });
    return watch.Seconds();
  };
  double best[2] = {1e9, 1e9};
  for (int round = 0; round < kRounds; ++round) {
    best[0] = std::min(best[0], seconds(plain));
    best[1] = std::min(best[1], seconds(matrix));
  }
  return best[1] < best[0];
}

}  // namespace merope::cpu

#include "backend/cpu/choose_form.h"

#include <algorithm>
#include <ctime>

namespace merope::cpu {
namespace {

constexpr int kRounds = 3;

// What the calling thread has computed so far: time in which it did not run, since others did, says
// nothing of the forms.
double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

bool PackedIsFaster(const PackedMatrix& matrix, const Ops& ops, ThreadTeam& team) {
  const int64_t panel_units = matrix.k_steps * matrix.panel;
  const int64_t panels = std::min(matrix.panels(), kTellingBytes / (4 * panel_units));
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
  struct Thread {
    double plain = 1e9, packed = 1e9;  // the least seconds
    PageArray<uint32_t> unpacked;
  };
  std::vector<Thread> threads(static_cast<size_t>(team.size()));
  const auto measure = [&](const PackedMatrix& weights, double Thread::* least) {
    team.Run([&](int i) {
      Thread& thread = threads[static_cast<size_t>(i)];
      const Range range = Share(panels, i, team.size());
      const double start = ThreadSeconds();
      for (int64_t p = range.begin; p < range.end; ++p)
        ops.OnePanel(weights, {x.data(), matrix.k_steps}, 1, p, out.data() + p * matrix.panel,
                     &thread.unpacked);
      thread.*least = std::min(thread.*least, ThreadSeconds() - start);
    });
  };
  // In turns, so that of more than the caches hold each is read from memory.
  for (int round = 0; round < kRounds; ++round) {
    measure(plain, &Thread::plain);
    measure(matrix, &Thread::packed);
  }
  double gained = 0;
  for (const Thread& thread : threads) gained += thread.plain - thread.packed;
  return gained > 0;
}

}  // namespace merope::cpu

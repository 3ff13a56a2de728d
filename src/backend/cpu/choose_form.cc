#include "backend/cpu/choose_form.h"

#include <algorithm>
#include <cstdint>
#include <ctime>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace merope::cpu {
namespace {

constexpr int kRounds = 3;

// The CPU time of the calling thread. Time in which other threads ran instead says nothing about
// the forms.
double ThreadSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Evicts memory from every cache, because a model's weights are read from memory. 16 MB may lie in
// the third-level cache of a server, or of a host that shows its guest a smaller cache.
void Evict([[maybe_unused]] const void* memory, int64_t bytes) {
  constexpr int64_t kLine = 64;
  for (int64_t i = 0; i < bytes; i += kLine) {
    [[maybe_unused]] const auto* line = static_cast<const uint8_t*>(memory) + i;
#if defined(__x86_64__)
    _mm_clflush(line);
#elif defined(__aarch64__)
    asm volatile("dc civac, %0" ::"r"(line) : "memory");
#endif
  }
#if defined(__x86_64__)
  _mm_mfence();
#elif defined(__aarch64__)
  asm volatile("dsb ish" ::: "memory");
#endif
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
    double plain = 1e9, packed = 1e9;  // the shortest measured times, in seconds
    PageArray<uint32_t> unpacked;
  };
  std::vector<Thread> threads(static_cast<size_t>(team.size()));
  const auto measure = [&](const PackedMatrix& weights, double Thread::* least) {
    team.Run([&](int i) {
      Thread& thread = threads[static_cast<size_t>(i)];
      const Range range = Share(panels, i, team.size());
      const int64_t bytes = weights.form == WeightForm::kBf16 ? 4 : 3;  // per unit, at least
      for (int64_t p = range.begin; p < range.end; ++p)
        Evict(weights.Weights(p), bytes * panel_units);
      const double start = ThreadSeconds();
      for (int64_t p = range.begin; p < range.end; ++p)
        ops.OnePanel(weights, {x.data(), matrix.k_steps}, 1, p, out.data() + p * matrix.panel,
                     &thread.unpacked);
      thread.*least = std::min(thread.*least, ThreadSeconds() - start);
    });
  };
  for (int round = 0; round < kRounds; ++round) {
    measure(plain, &Thread::plain);
    measure(matrix, &Thread::packed);
  }
  double gained = 0;
  for (const Thread& thread : threads) gained += thread.plain - thread.packed;
  return gained > 0;
}

}  // namespace merope::cpu

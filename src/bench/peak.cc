#include "bench/peak.h"

#include <atomic>

#include "backend/cpu_peaks.h"
#include "base/error.h"
#include "base/stopwatch.h"

namespace merope {

std::string_view PeakName(PeakKind kind) {
  switch (kind) {
    case PeakKind::kFp32:
      return "fp32";
    case PeakKind::kBf16:
      return "bf16";
    case PeakKind::kInt8:
      return "int8";
  }
  CHECK(false);
}

PeakKind PeakOf(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return PeakKind::kFp32;
    case Precision::kBf16:
      return PeakKind::kBf16;
    case Precision::kInt8:
    case Precision::kInt4:
    case Precision::kNative:
      return PeakKind::kInt8;
  }
  CHECK(false);
}

double PeakProbe::Measure(PeakKind kind, double seconds) {
  const cpu::PeakKernels& kernels = cpu::GetPeakKernels();
  const auto kernel = kind == PeakKind::kFp32   ? kernels.fp32
                      : kind == PeakKind::kBf16 ? kernels.bf16
                                                : kernels.int8;
  // A thread reads the clock after each kSteps steps, about every 20 µs.
  constexpr int64_t kSteps = 4000;
  std::atomic<int64_t> operations = 0;
  const Stopwatch watch;
  team_.Run([&](int) {
    cpu::PeakArgs args{.steps = kSteps, .x = {1, 2, 3, 5}, .w = {1, -1, 2, -2}, .sums = {}};
    int64_t mine = 0;
    do mine += kernel(args);
    while (watch.Seconds() < seconds);
    operations += mine;
  });
  return static_cast<double>(operations) / watch.Seconds();
}

}  // namespace merope

#include "bench/roofline.h"

#include <memory>

#include "backend/cpu_targets.h"
#include "base/stopwatch.h"
#include "bench/bandwidth.h"

namespace merope {
namespace {

constexpr std::array kKinds = {PeakKind::kFp32, PeakKind::kBf16, PeakKind::kInt8};

// The probes for one number of threads, and the values that the probes have measured.
struct ThreadProbes {
  explicit ThreadProbes(int n_threads) : threads(n_threads), memory(n_threads), peak(n_threads) {}

  void Measure() {
    bandwidth.push_back(memory.Measure());
    for (const PeakKind kind : kKinds)
      peaks[static_cast<size_t>(kind)].push_back(peak.Measure(kind));
  }
  RooflineRow Row() const {
    RooflineRow row{.threads = threads, .bandwidth = Summarize(bandwidth), .peaks = {}};
    for (size_t i = 0; i < peaks.size(); ++i) row.peaks[i] = Summarize(peaks[i]);
    return row;
  }

  int threads;
  BandwidthProbe memory;
  PeakProbe peak;
  std::vector<double> bandwidth;
  std::array<std::vector<double>, kKinds.size()> peaks;
};

}  // namespace

Status Validate(const RooflineOptions& options) {
  if (options.threads < 0 || options.threads > 1024)
    return Err("threads: expected 0 (the usable cores) to 1024, found {}", options.threads);
  if (!(options.seconds > 0 && options.seconds <= 3600))
    return Err("seconds: expected more than 0 and at most 3600, found {}", options.seconds);
  return {};
}

Result<RooflineResult> MeasureRoofline(const RooflineOptions& options) {
  TRY(Validate(options));
  const int all = options.threads > 0 ? options.threads : DefaultThreads();
  std::vector<std::unique_ptr<ThreadProbes>> probes;
  for (const int threads : {1, all})
    if (probes.empty() || threads > 1) probes.push_back(std::make_unique<ThreadProbes>(threads));

  RooflineResult result;
  result.target = cpu::TargetInUse();
  const Stopwatch watch;
  do {
    for (const auto& of_threads : probes) of_threads->Measure();
    ++result.probes;
    if (options.progress) options.progress(watch.Seconds(), options.seconds);
  } while (watch.Seconds() < options.seconds);
  for (const auto& of_threads : probes) result.rows.push_back(of_threads->Row());
  return result;
}

}  // namespace merope

// Measures the machine's roofline: the read bandwidth and the multiply-add peaks, on one thread and
// on all threads. Called by `merope bench roofline`, on the caller's thread.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/distribution.h"
#include "bench/peak.h"

namespace merope {

struct RooflineOptions {
  int threads = 0;     // the number that "all threads" means; 0: DefaultThreads()
  double seconds = 4;  // of the whole measurement
  std::function<void(double done, double total)> progress;  // in seconds
};
Status Validate(const RooflineOptions& options);

struct RooflineRow {
  int threads = 0;
  Distribution bandwidth;             // bytes per second
  std::array<Distribution, 3> peaks;  // operations per second (multiply-add: two), by PeakKind
  const Distribution& peak(PeakKind kind) const { return peaks[static_cast<size_t>(kind)]; }
};

struct RooflineResult {
  std::string target;             // Highway's name of the instruction set
  int probes = 0;                 // number of probes of each figure
  std::vector<RooflineRow> rows;  // one thread; then all threads, if these are more than one
};

// Probes all figures alternately until options.seconds have passed, so that a change in the speed
// of the machine affects all figures alike. Errors: options that Validate refuses.
Result<RooflineResult> MeasureRoofline(const RooflineOptions& options);

}  // namespace merope

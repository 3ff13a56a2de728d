// The machine's roofline: read bandwidth and multiply-add peaks, on one thread and on all. Called
// by `merope bench roofline`, on the caller's thread.
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
  int threads = 0;                                          // "all"; 0: DefaultThreads()
  double seconds = 4;                                       // of measuring, in all
  std::function<void(double done, double total)> progress;  // in seconds
};
Status Validate(const RooflineOptions& options);

struct RooflineRow {
  int threads = 0;
  Distribution bandwidth;             // bytes a second
  std::array<Distribution, 3> peaks;  // operations a second, two a multiply-add; see peak()
  const Distribution& peak(PeakKind kind) const { return peaks[static_cast<size_t>(kind)]; }
};

struct RooflineResult {
  std::string target;             // the instruction set, as Highway calls it
  int probes = 0;                 // of each figure
  std::vector<RooflineRow> rows;  // one thread; then all, where that is more
};

// Probes of each figure in turn, for as long as options.seconds: a change in the machine's pace
// meets them all.
Result<RooflineResult> MeasureRoofline(const RooflineOptions& options);

}  // namespace merope

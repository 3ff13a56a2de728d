// Measures the memory bandwidth and the multiply-add peak of the machine, before and after each run
// of a benchmark. Only one thread, that of the benchmark, may use a Probes object.
#pragma once

#include <vector>

#include "bench/bandwidth.h"
#include "bench/distribution.h"
#include "bench/peak.h"

namespace merope {

class Probes {
 public:
  Probes(int threads, PeakKind kind) : memory_(threads), peak_(threads), kind_(kind) {}

  void Measure() {
    bandwidths_.push_back(memory_.Measure());
    peaks_.push_back(peak_.Measure(kind_));
  }
  // The mean of the two probes around the last run, in bytes per second and in operations per
  // second. Measure() must have run at least twice since the last Clear().
  double bandwidth() const { return MeanOfLastTwo(bandwidths_); }
  double peak() const { return MeanOfLastTwo(peaks_); }
  bool empty() const { return peaks_.empty(); }
  int64_t buffer_bytes() const { return memory_.buffer_bytes(); }

  Distribution bandwidths() const { return Summarize(bandwidths_); }
  Distribution peaks() const { return Summarize(peaks_); }
  void Clear() {
    bandwidths_.clear();
    peaks_.clear();
  }

 private:
  static double MeanOfLastTwo(const std::vector<double>& values) {
    return (values.end()[-1] + values.end()[-2]) / 2;
  }

  BandwidthProbe memory_;
  PeakProbe peak_;
  PeakKind kind_;
  std::vector<double> bandwidths_, peaks_;
};

}  // namespace merope

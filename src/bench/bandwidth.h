// The machine's memory read bandwidth, now: what a decode step's time is held against. Virtual
// machines change it from one second to the next (which die a core lies on, who else is there), so
// a figure without a probe beside it says little.
#pragma once

#include <cstdint>

#include "base/aligned.h"
#include "base/threads.h"

namespace merope {

// Owns a buffer several times the size of the last-level cache, and the threads that read it. Used
// by one thread.
class BandwidthProbe {
 public:
  explicit BandwidthProbe(int threads);

  // Bytes per second while every thread reads its own part of the buffer in one linear stream, over
  // and over for about `seconds`.
  double Measure(double seconds = 0.08);

  int64_t buffer_bytes() const { return static_cast<int64_t>(buffer_.bytes()); }

 private:
  ThreadTeam team_;
  PageArray<uint64_t> buffer_;
};

}  // namespace merope

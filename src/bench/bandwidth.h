// The machine's memory read bandwidth, now: what a decode step's time is held against. Virtual
// machines change it from one second to the next (which die a core lies on, who else is there), so
// a figure without a probe beside it says little.
#pragma once

#include <cstdint>
#include <span>

#include "base/aligned.h"
#include "base/threads.h"

namespace merope {

// The sum of the words, in whole blocks of kSumBlock: what is left after the last is not read.
inline constexpr int64_t kSumBlock = 32;
uint64_t SumBlocks(std::span<const uint64_t> words);

// Owns a buffer several times the size of the last-level cache, and the threads that read it. Used
// by one thread.
class BandwidthProbe {
 public:
  explicit BandwidthProbe(int threads);

  // Bytes per second while every thread reads its own part of the buffer in one linear stream, over
  // and over for about `seconds`.
  double Measure(double seconds = 0.08);

  // Reads the buffer once. The sum of its words, which are 0, 1, 2 …: the evidence that every
  // thread's part was read, but for less than a block at its end.
  uint64_t Pass();

  int64_t buffer_bytes() const { return static_cast<int64_t>(buffer_.bytes()); }

 private:
  ThreadTeam team_;
  PageArray<uint64_t> buffer_;
};

}  // namespace merope

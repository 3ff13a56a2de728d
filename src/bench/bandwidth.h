// Measures the memory read bandwidth that the machine has now. This bandwidth limits the speed of a
// decode step. The bandwidth of a virtual machine changes from one second to the next: it depends
// on the die that a core lies on, and on the load from other guests. A figure without a probe
// beside it therefore says little. The benchmarks call the probe, on the caller's thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/aligned.h"
#include "base/threads.h"

namespace merope {

// SumBlocks returns the sum of the words, in whole blocks of kSumBlock words. SumBlocks does not
// read the words after the last whole block.
inline constexpr int64_t kSumBlock = 32;
uint64_t SumBlocks(std::span<const uint64_t> words);

// Owns a buffer several times as large as the last-level cache, and the threads that read the
// buffer. Only one thread may use a BandwidthProbe.
class BandwidthProbe {
 public:
  explicit BandwidthProbe(int threads);

  // Returns bytes per second. Every thread reads its own part of the buffer in one linear stream.
  // The threads repeat this pass for about `seconds`.
  double Measure(double seconds = 0.08);

  // Reads the buffer once and returns the sum of its words. The words are 0, 1, 2, …, so the sum
  // shows that every thread has read its part. Each thread skips less than one block at the end of
  // its part.
  uint64_t Pass();

  int64_t buffer_bytes() const { return static_cast<int64_t>(buffer_.bytes()); }

 private:
  ThreadTeam team_;
  PageArray<uint64_t> buffer_;
};

}  // namespace merope

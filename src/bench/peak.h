// Measures the multiply-add peaks that the machine has now. The benchmarks compare prefill with a
// peak, and compare decode with the bandwidth of BandwidthProbe. The benchmarks call the probe, on
// the caller's thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/matrix.h"
#include "base/threads.h"

namespace merope {

enum class PeakKind : uint8_t { kFp32, kBf16, kInt8 };
std::string_view PeakName(PeakKind kind);  // "fp32", "bf16", "int8"
// The kind of the matrix products that a model of this precision computes. kInt4 and kNative
// compute int8 products.
PeakKind PeakOf(Precision precision);

// Owns the threads that multiply. Only one thread may use a PeakProbe.
class PeakProbe {
 public:
  explicit PeakProbe(int threads) : team_(threads) {}

  // Returns operations per second; a multiply-add is two operations. Every thread runs
  // multiply-adds and nothing else for about `seconds`.
  double Measure(PeakKind kind, double seconds = 0.04);

 private:
  ThreadTeam team_;
};

}  // namespace merope

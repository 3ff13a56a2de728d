// The machine's multiply-add peaks, now: what prefill is held against, as BandwidthProbe's figure
// is what decoding is held against.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/matrix.h"
#include "base/threads.h"

namespace merope {

enum class PeakKind : uint8_t { kFp32, kBf16, kInt8 };
std::string_view PeakName(PeakKind kind);  // "fp32", "bf16", "int8"
// Of the products that a model of this precision is made of.
PeakKind PeakOf(Precision precision);

// Owns the threads that multiply. Used by one thread.
class PeakProbe {
 public:
  explicit PeakProbe(int threads) : team_(threads) {}

  // Operations a second, two a multiply-add, while every thread does nothing else for about
  // `seconds`.
  double Measure(PeakKind kind, double seconds = 0.04);

 private:
  ThreadTeam team_;
};

}  // namespace merope

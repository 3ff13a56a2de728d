// How much work compiling one grammar takes, counted: what a request asks for is bounded by steps,
// not by its size or its depth, so that it is refused on every machine or on none. Owned by whoever
// compiles, used by its thread.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace merope {

class CompileWork {
 public:
  // A step is a place of a term, a value or a symbol that is looked at: 20 to 50 ns.
  static constexpr int64_t kMost = 12'000'000;
  // Of terms and values inside each other, which are gone through recursively.
  static constexpr int64_t kMostDepth = 1000;

  // False when there were too many. Who cannot return an error gives up with any result then.
  bool Spend(int64_t steps = 1) {
    left_ = steps < left_ ? left_ - steps : -1;
    return left_ >= 0;
  }
  void SpendAll() { left_ = -1; }
  bool spent() const { return left_ < 0; }
  // Whoever has used what was given up with asks this.
  Status Check() const {
    if (!spent()) return {};
    return Err("too large: it needs more than {} steps to compile", kMost);
  }

 private:
  int64_t left_ = kMost;
};

}  // namespace merope

// Counts the work of compiling one grammar. The limit is a number of steps, not the size or the
// depth of a request. Therefore a request is refused on every machine or on none. The code that
// compiles a grammar owns the counter and uses it on its own thread.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace merope {

class CompileWork {
 public:
  // One step looks at one place of a term, a value or a symbol. A step takes 20 to 50 ns.
  static constexpr int64_t kMost = 12'000'000;
  // The maximum number of levels of nested terms and values. Recursive functions walk through these
  // levels.
  static constexpr int64_t kMostDepth = 1000;

  // Returns false when too many steps are spent. A caller that cannot return an error then returns
  // any result.
  bool Spend(int64_t steps = 1) {
    left_ = steps < left_ ? left_ - steps : -1;
    return left_ >= 0;
  }
  void SpendAll() { left_ = -1; }
  bool spent() const { return left_ < 0; }
  // Code that uses the results of such a caller must call Check.
  Status Check() const {
    if (!spent()) return {};
    return Err("too large: it needs more than {} steps to compile", kMost);
  }

 private:
  int64_t left_ = kMost;
};

}  // namespace merope

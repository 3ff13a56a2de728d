// Measures the wall-clock time since the construction of the Stopwatch.
#pragma once

#include <chrono>

namespace merope {

class Stopwatch {
 public:
  double Seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace merope

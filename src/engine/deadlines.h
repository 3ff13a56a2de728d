// The times by which requests must reach a stage. The engine owns the Deadlines and uses them on
// its thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "base/error.h"

namespace merope {

class Deadlines {
 public:
  using Clock = std::chrono::steady_clock;
  // kCompiled: the request's grammar is compiled. kBegun: the first step with a part of the request
  // has begun. kEnded: the request has ended.
  enum class Stage : uint8_t { kCompiled, kBegun, kEnded };
  struct Deadline {
    uint64_t request = 0;
    Stage stage = {};
    double seconds = 0;  // the time limit
  };

  void Add(const Deadline& deadline) {
    const auto time = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(deadline.seconds));
    all_.emplace(Clock::now() + time, deadline);
  }
  std::optional<Clock::time_point> first() const {
    return all_.empty() ? std::nullopt : std::optional(all_.begin()->first);
  }
  // Removes and returns a deadline that has passed, whether or not its request has reached the
  // stage. Returns nullopt if no deadline has passed.
  std::optional<Deadline> TakeOver() {
    if (all_.empty() || all_.begin()->first > Clock::now()) return std::nullopt;
    const Deadline deadline = all_.begin()->second;
    all_.erase(all_.begin());
    return deadline;
  }

 private:
  std::multimap<Clock::time_point, Deadline> all_;
};

// The error of a request that does not reach the stage in time.
Error LateError(const Deadlines::Deadline& deadline);

}  // namespace merope

// Ends long work before its time, as Ctrl-C in Python asks. The thread that waits for the work
// raises the flag; the threads that work look at it between their steps, and end with an error.
// Copies share one flag. Any thread may use any copy.
#pragma once

#include <atomic>
#include <memory>

#include "base/error.h"

namespace merope {

class StopFlag {
 public:
  StopFlag() = default;  // nobody raises it
  static StopFlag Make() {
    StopFlag flag;
    flag.raised_ = std::make_shared<std::atomic<bool>>(false);
    return flag;
  }

  void Raise() const {
    if (raised_ != nullptr) *raised_ = true;
  }
  bool raised() const { return raised_ != nullptr && *raised_; }
  // Whether anybody can raise it.
  bool armed() const { return raised_ != nullptr; }
  Status Check() const {
    if (raised()) return Err("stopped before the end");
    return {};
  }

 private:
  std::shared_ptr<std::atomic<bool>> raised_;
};

}  // namespace merope

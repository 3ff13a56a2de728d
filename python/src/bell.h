// A file descriptor that is readable while there is something to read elsewhere. Python waits for
// it in poll() or in its event loop, so that signals and other tasks run during the wait, and the
// thread that rings never needs the GIL. Any thread rings. One thread calls Still.
#pragma once

#include <atomic>

namespace merope::python {

class Bell {
 public:
  Bell();  // with the GIL; raises an OSError
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  // Makes the descriptor readable. The caller has already put there what is to be read.
  void Ring();
  // Makes the descriptor unreadable. The caller reads only afterwards: what arrives from now on
  // makes the descriptor readable again.
  void Still();
  int fileno() const { return read_; }

 private:
  int read_ = -1, write_ = -1;  // the ends of a pipe, which contains a byte while it is rung
  std::atomic<bool> rung_{false};
};

}  // namespace merope::python

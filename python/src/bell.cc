#include "bell.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "convert.h"

namespace merope::python {

Bell::Bell() {
  int ends[2];
  if (pipe(ends) != 0) {
    PyErr_SetFromErrno(PyExc_OSError);
    throw nb::python_error();
  }
  read_ = ends[0];
  write_ = ends[1];
  for (const int end : ends) {
    fcntl(end, F_SETFD, FD_CLOEXEC);
    fcntl(end, F_SETFL, O_NONBLOCK);
  }
}

Bell::~Bell() {
  close(read_);
  close(write_);
}

void Bell::Ring() {
  if (rung_.exchange(true)) return;
  while (write(write_, "", 1) < 0 && errno == EINTR) {
  }
}

void Bell::Still() {
  char bytes[16];
  while (read(read_, bytes, sizeof bytes) > 0) {
  }
  rung_ = false;
}

}  // namespace merope::python

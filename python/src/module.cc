// The native half of the package merope: thin bindings, which its Python modules make vLLM's API
// of.
#include "convert.h"

NB_MODULE(_native, m) {
  m.doc() = "The C++ engine behind merope; use the package's own classes.";
  // Threads that wait when the process ends hold objects; that is no leak to warn of.
  nanobind::set_leak_warnings(false);
  m.attr("__version__") = MEROPE_VERSION;
  merope::python::BindParams(m);
  merope::python::BindTokenizer(m);
  merope::python::BindEvents(m);
  merope::python::BindModel(m);
}

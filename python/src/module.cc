// The native part of the package merope: thin bindings. The package's Python modules build vLLM's
// API on these bindings.
#include "convert.h"

NB_MODULE(_native, m) {
  m.doc() = "The C++ engine behind merope; use the package's own classes.";
  // A thread that still waits when the process ends holds Python objects. These objects are not a
  // leak, so nanobind must not warn about them.
  nanobind::set_leak_warnings(false);
  m.attr("__version__") = MEROPE_VERSION;
  merope::python::BindParams(m);
  merope::python::BindTokenizer(m);
  merope::python::BindEvents(m);
  merope::python::BindModel(m);
  merope::python::BindJob(m);
  merope::python::BindMeasure(m);
}

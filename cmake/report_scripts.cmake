# Copies the scripts that `merope report --layout gitcode` writes into a source of the report layer.
function(merope_report_scripts)
  set(scripts "")
  foreach(name run_precision_analysis.py run_accuracy_benchmark.py)
    set(path ${PROJECT_SOURCE_DIR}/scripts/${name})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    file(READ ${path} text)
    string(APPEND scripts "    {\"${name}\", R\"script(${text})script\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/report_scripts.cc @ONLY CONTENT [[
#include "report/report_scripts.h"

namespace merope {

std::span<const ReportScript> ReportScripts() {
  static constexpr ReportScript kScripts[] = {
@scripts@  };
  return kScripts;
}

}  // namespace merope
]])
  target_sources(merope_report PRIVATE ${CMAKE_BINARY_DIR}/report_scripts.cc)
endfunction()
merope_report_scripts()

# cmake -D SOURCE=… -D OUTPUT=… -P commit.cmake: writes the source that names the commit of the
# build. If the commit has not changed, the script leaves the source unchanged, so nothing is
# recompiled.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty=+changes --abbrev=12 --exclude=*
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "cli/version.h"

namespace merope {
std::string_view Commit() { return "@commit@"; }
}  // namespace merope
]])

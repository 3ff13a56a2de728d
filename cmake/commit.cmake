# cmake -D SOURCE=… -D OUTPUT=… -P commit.cmake: writes the source that knows which commit is built, and leaves it as it is where
# that has not changed, so that nothing is compiled anew.
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

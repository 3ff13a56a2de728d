// The version of this build. Called by Main and `merope doctor`, on the main thread.
#pragma once

#include <string>
#include <string_view>

namespace merope {

// The abbreviated commit of the source. Ends with "+changes" if files differ from the commit.
// "unknown" without git. The build writes the source of this function (cmake/commit.cmake).
std::string_view Commit();
// "merope 1.0.0 (commit 0123456789ab, g++ 12.2.0, AVX3_ZEN4)". The last part is the instruction set
// that the kernels use on this machine.
std::string VersionLine();

}  // namespace merope

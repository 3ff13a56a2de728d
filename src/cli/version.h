// Which merope this is.
#pragma once

#include <string>
#include <string_view>

namespace merope {

// Abbreviated, "+changes" behind it where files differ from it; "unknown" without git. Its source
// is written at build time (cmake/commit.cmake).
std::string_view Commit();
// "merope 1.0.0 (commit 0123456789ab, g++ 12.2.0, AVX3_ZEN4)": the instruction set is that which
// the kernels take on this machine.
std::string VersionLine();

}  // namespace merope

// Computes the result of a verification again from its bundle (bundle.h), without the model and the
// server. Called by `merope replay`, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "verify/result.h"

namespace merope {

// First checks every file against the manifest: the error names the file and the block that has
// changed. Then computes every figure and the verdict from the rows and the raw answers; the error
// names the first key whose value is another than in result.json. The times and the number of
// requests are those of the run. threads: of the comparison; 0: DefaultThreads().
Result<VerifyResult> Replay(
    const std::string& directory, int threads,
    const std::function<void(std::string_view phase, int64_t done, int64_t total)>& progress);

}  // namespace merope

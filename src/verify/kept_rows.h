// Keeps rows of logits in an unnamed (unlinked) file, so that the suite can free a model before the
// suite needs its rows. Called on the suite's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/error.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"

namespace merope {

// Reads the rows of all prompts from `source`, (positions, vocab) per prompt, and writes the rows
// to a file. Returns a source that reads the same rows from the file. KeepRows calls `positions`
// after each chunk, with the number of positions done so far; its error ends the work. The file is
// in $TMPDIR, or in /var/tmp; KeepRows does not use /tmp because /tmp may be in memory. The prompts
// must outlive the returned source. Errors: the file cannot be created, written or read; errors of
// `source`.
Result<std::unique_ptr<LogitSource>> KeepRows(LogitSource& source,
                                              std::span<const VerifyPrompt> prompts, int64_t vocab,
                                              const std::function<Status(int64_t)>& positions);

}  // namespace merope

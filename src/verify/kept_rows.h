// Rows of logits kept in a file without a name, so that a model can go before they are needed.
// Called by the suite's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/error.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"

namespace merope {

// A source of the prompts' rows, (positions, vocab) each, as source gave them; positions tells how
// many it has. The file lies in $TMPDIR, or /var/tmp: /tmp may itself be memory. The prompts must
// outlive what is returned.
Result<std::unique_ptr<LogitSource>> KeepRows(LogitSource& source,
                                              std::span<const VerifyPrompt> prompts, int64_t vocab,
                                              const std::function<void(int64_t)>& positions);

}  // namespace merope

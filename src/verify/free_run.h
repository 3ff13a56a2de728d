// The target's own greedy texts, as further prompts: the suite then compares the rows that chose
// each token. A server's answers are such texts already. Used by the suite, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"

namespace merope {

// Appends tokens to the text until it has `length` ids. choose(row) returns the token that follows
// a row of the target's logits.
Status ContinueText(LogitSource& target, int64_t vocab, int64_t length,
                    const std::function<int32_t(std::span<const float> row)>& choose,
                    VerifyPrompt* text);
// The most probable token; among equals the smallest id.
int32_t GreedyToken(std::span<const float> row);

// The kind of the prompts that AppendFreeRuns adds.
inline constexpr std::string_view kFreeRun = "free";

// The number of tokens of each text; 0 in --quick.
int64_t FreeRunTokens(VerifyMode mode);

// Continues each of the reference report's prompts, which come first, by `tokens` greedy tokens of
// the target, but not beyond the context. The last token is not among the ids, because no row after
// it is compared. progress: called with the number of prompts done; its error ends the work.
Status AppendFreeRuns(LogitSource& target, int64_t vocab, int64_t context, int64_t tokens,
                      const std::function<Status(int64_t done)>& progress,
                      std::vector<VerifyPrompt>* prompts);

}  // namespace merope

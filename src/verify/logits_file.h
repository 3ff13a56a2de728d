// Prompts and logits as files, to compare with other programs (tools/dump_hf_logits.py).
//
// Prompts are JSON: {"prompts": [{"id", "kind", "language", "text", "ids": [...]}]}. Logits are
// safetensors: for each prompt
// "<id>.ids", I32 (tokens), and "<id>.logits", F32 (tokens, vocab), the logits after each token;
// or, of the k most probable tokens alone, "<id>.top_ids", I32 (tokens, k), "<id>.top_logprobs",
// F32 (tokens, k), and "<id>.next_logprobs", F32 (tokens − 1), of the tokens that follow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"

namespace merope {

Status WritePrompts(const std::string& path, std::span<const VerifyPrompt> prompts);
// Ids are required, other fields may be missing. Ids must lie in [0, vocab).
Result<std::vector<VerifyPrompt>> ReadPrompts(const std::string& path, int64_t vocab);

// The source reads every prompt's rows from the file; a prompt that the file does not hold, with
// just these ids, is an error.
Result<std::unique_ptr<LogitSource>> OpenLogitsFile(const std::string& path, int64_t vocab);
// Writes the rows of every prompt as they come; progress counts positions.
Status WriteLogits(const std::string& path, LogitSource& source,
                   std::span<const VerifyPrompt> prompts, int64_t vocab,
                   const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace merope

// Reads and writes files of prompts and of logits, for comparison with other programs
// (tools/dump_hf_logits.py). Called by `merope verify`, on the caller's thread.
//
// A prompts file is JSON: {"prompts": [{"id", "kind", "language", "text", "ids": [...]}]}. A logits
// file is safetensors, with these tensors for each prompt:
//   "<id>.ids", I32 (tokens): the token ids of the prompt
//   "<id>.logits", F32 (tokens, vocab): the logits after each token
// A file that has only the k most probable tokens has these tensors in place of "<id>.logits":
//   "<id>.top_ids", I32 (tokens, k)
//   "<id>.top_logprobs", F32 (tokens, k)
//   "<id>.next_logprobs", F32 (tokens − 1): the logprobs of the prompt's tokens from the second on
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
// In each prompt "id" and "ids" are required; the other fields may be missing. Each "id" must be
// unique. Token ids must lie in [0, vocab).
Result<std::vector<VerifyPrompt>> ReadPrompts(const std::string& path, int64_t vocab);

// Returns a source that reads the rows of each prompt from the file. Reading a prompt fails if the
// file does not have this prompt, or has it with other token ids.
Result<std::unique_ptr<LogitSource>> OpenLogitsFile(const std::string& path, int64_t vocab);
// Writes the rows of each prompt as soon as `source` gives them. progress counts positions.
Status WriteLogits(const std::string& path, LogitSource& source,
                   std::span<const VerifyPrompt> prompts, int64_t vocab,
                   const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace merope

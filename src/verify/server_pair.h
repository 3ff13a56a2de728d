// Compares the answers of two servers of one device to the same prompts, position by position: the
// second runs the same model without compilation (vLLM: --enforce-eager). Called by the suite, on
// its thread. Plain functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "endpoint/endpoint.h"
#include "verify/prompts.h"

namespace merope {

// The figures are reported beside σ_b, the logit error of the emulated format (ReferenceCheck).
// They have no verdict: the suite judges the first server against fp32.
struct ServerPair {
  ServerFacts second;
  int64_t prompts = 0, same_texts = 0;  // same_texts: prompts with equal generated tokens
  int64_t positions = 0;                // positions that both list, after the same tokens
  int64_t flips = 0;                    // positions with another most probable token
  // The largest gap, in the first server's logprobs, between its own choice and the second's.
  double widest_flip = 0;
  // RMS and largest |Δ logprob| of the tokens that both list; sigma without each row's mean.
  double sigma = 0, max_delta = 0;
  std::string worst_prompt;  // of max_delta
  int64_t worst_position = 0;
};

// first, second: the answers to the prompts, in their order. A position counts if both servers list
// tokens there and all earlier generated tokens agree.
ServerPair CompareServers(const std::vector<VerifyPrompt>& prompts,
                          const std::vector<CompletionAnswer>& first,
                          const std::vector<CompletionAnswer>& second);

}  // namespace merope

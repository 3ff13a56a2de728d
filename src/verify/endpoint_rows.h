// Asks an endpoint for the prompts of the suite, and makes a LogitSource of its answers. Called by
// the suite, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "endpoint/endpoint.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"

namespace merope {

struct EndpointAsk {
  int64_t generate = 64;    // tokens that the endpoint generates, greedily, after each prompt
  int64_t top_k = 20;       // tokens with logprobs at each position
  bool prompt_rows = true;  // whether the endpoint gives the logprobs of the prompt's positions
  int64_t context = 0;      // the shorter context of the two; a longer prompt is cut
  int64_t concurrency = 4;  // requests at the same time
};

// The tokens that the requests take: those of the prompts and those to generate.
int64_t TokensToAsk(const EndpointAsk& ask, const std::vector<VerifyPrompt>& prompts);

// Sends each prompt as token ids, cut so that its generation fits the context. Returns the answers
// in the order of the prompts. progress counts prompts. Errors: those of the endpoint.
Result<std::vector<CompletionAnswer>> AskPrompts(
    const Endpoint& endpoint, const EndpointAsk& ask, std::vector<VerifyPrompt>* prompts,
    const std::function<void(int64_t done, int64_t total)>& progress);

// Appends the generated tokens to the ids of the prompts that AskPrompts sent, so that every row is
// compared after the same tokens. The source gives rows of the top_k most probable tokens, from
// prompt.first on. Errors: an answer without logprobs by token id; ids outside the vocabulary.
Result<std::unique_ptr<LogitSource>> RowsOfAnswers(const ServerFacts& facts, const EndpointAsk& ask,
                                                   int64_t vocab,
                                                   std::vector<CompletionAnswer> answers,
                                                   std::vector<VerifyPrompt>* prompts);

}  // namespace merope

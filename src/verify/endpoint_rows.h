// Asks an endpoint for the prompts of the suite, and makes a LogitSource of its answers. Called by
// the suite, on its thread; several requests run at the same time, each on a thread of its own.
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

// Sends each prompt as token ids. Appends the generated tokens to the ids of the prompt, so that
// every row is compared after the same tokens. The source gives rows of the top_k most probable
// tokens, from prompt.first on. Errors: those of the endpoint; an answer without logprobs by token
// id; ids outside the vocabulary. progress counts prompts.
Result<std::unique_ptr<LogitSource>> AskEndpoint(
    Endpoint& endpoint, const EndpointAsk& ask, int64_t vocab, std::vector<VerifyPrompt>* prompts,
    const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace merope

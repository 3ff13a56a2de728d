// One request, start to end, for a caller that waits for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"

namespace merope {

struct GenerateResult {
  std::vector<int32_t> ids;     // generated, the ending EOS included
  std::vector<float> logprobs;  // (ids), where they were asked for
  std::string text;
  FinishReason finish_reason = FinishReason::kLength;
  std::string stop_reason;  // the stop string, if one ended it
  int64_t prompt_tokens = 0;
  // Seconds since the start of Generate, for each token of ids: entry 0 is the time to the first
  // token.
  std::vector<double> token_times;
};

// The request's n is 1. text, if set, gets pieces of the text as they become certain; where it
// returns false, or *cancelled is true, the request is aborted.
Result<GenerateResult> Generate(Engine& engine, Request request,
                                const std::function<bool(std::string_view)>& text = {},
                                const std::atomic<bool>* cancelled = nullptr);

}  // namespace merope

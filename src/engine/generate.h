// Runs one request from start to end. The calling thread waits for the result. `merope run` and the
// report call Generate.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"

namespace merope {

struct GenerateResult {
  std::vector<int32_t> ids;     // generated tokens, including the EOS that ends them
  std::vector<float> logprobs;  // (ids), if the request asks for logprobs
  std::string text;
  FinishReason finish_reason = FinishReason::kLength;
  std::string stop_reason;  // the stop string that ended the text, or "repetition_detected"
  int64_t prompt_tokens = 0;
  int64_t forced = 0;  // as in Event
  // Seconds since the request was submitted, for each token of ids: entry 0 is the time to the
  // first token.
  std::vector<double> token_times;
};

// The request's n must be 1. `reader`, if set, gets each event as it comes. If `reader` returns
// false, or *cancelled is true, Generate aborts the request.
Result<GenerateResult> Generate(Engine& engine, Request request,
                                const std::function<bool(const Event&)>& reader = {},
                                const std::atomic<bool>* cancelled = nullptr);

}  // namespace merope

// One request, start to end: prefill, then sample and decode until an EOS id of the config, a stop
// string, the length or the caller ends it. The caller's thread does the work.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/output.h"
#include "engine/sampling_params.h"
#include "model/llama.h"
#include "text/tokenizer.h"

namespace merope {

struct GenerateOptions {
  SamplingParams sampling = {.temperature = 0};  // its stop and its lengths are not read
  std::vector<std::string> stop = {};            // the text ends before the first of these
  int64_t max_tokens = -1;                       // −1: as many as fit
  bool ignore_eos = false;
  bool logprobs = true;  // they take a pass over the vocabulary in double a token
  const std::atomic<bool>* cancelled = nullptr;  // checked before every token
};

struct GenerateResult {
  std::vector<int32_t> ids;     // generated, the ending EOS included
  std::vector<float> logprobs;  // (ids, or empty) natural log, of the unmodified distribution
  std::string text;
  FinishReason finish_reason = FinishReason::kLength;
  std::string stop_reason;  // the stop string, if one ended it
  int64_t prompt_tokens = 0;
  // Seconds since the start of Generate, for each token of ids: entry 0 is the time to the first
  // token.
  std::vector<double> token_times;
};

// text, if set, gets pieces of the text as they become certain; returning false cancels. A prompt
// that leaves no room for a token is refused with both lengths.
Result<GenerateResult> Generate(Llama& model, const Tokenizer& tokenizer,
                                std::span<const int32_t> prompt, const GenerateOptions& options,
                                const std::function<bool(std::string_view)>& text = {});

}  // namespace merope

// What a request asks of the sampler: vLLM's SamplingParams, its fields, defaults, ranges and rules
// (vLLM 0.18, vllm/sampling_params.py). Filled in where a request is parsed; checked and settled
// once, by Engine::Submit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"

namespace merope {

// Exactly one is set. What the text that is generated must be.
struct StructuredOutputs {
  std::optional<std::string> json = {};  // matches this JSON schema
  std::optional<std::string> regex = {};
  std::optional<std::vector<std::string>> choice = {};  // one of these
  std::optional<std::string> grammar = {};              // of this EBNF grammar (its root rule)
  bool json_object = false;                             // any JSON object
  std::optional<std::string> structural_tag = {};
};

// Ends a sequence that repeats itself: a pattern of min to max tokens, min_count times in a row at
// its end.
struct RepetitionDetection {
  int64_t max_pattern_size = 0;  // 0: off
  int64_t min_pattern_size = 0;  // 0: 1
  int64_t min_count = 0;         // 2 or more
};

// Which events a request gives: kFinalOnly, one a sequence, at its end. Of the others the reader
// makes what it wants from what is new in each.
enum class OutputKind : uint8_t { kCumulative, kDelta, kFinalOnly };

struct SamplingParams {
  int64_t n = 1;
  double presence_penalty = 0, frequency_penalty = 0, repetition_penalty = 1;
  double temperature = 1;  // 0: greedy; above, at least 0.01
  double top_p = 1, min_p = 0;
  int64_t top_k = 0;                 // −1 or 0: off
  std::optional<int64_t> seed = {};  // −1: none
  std::vector<std::string> stop = {};
  std::vector<int32_t> stop_token_ids = {};
  std::vector<std::string> bad_words = {};
  std::optional<int64_t> max_tokens = 16;  // nullopt: as many as fit
  int64_t min_tokens = 0;
  std::optional<int64_t> logprobs = {}, prompt_logprobs = {};  // the likeliest so many; −1: all
  std::vector<std::pair<int32_t, double>> logit_bias = {};
  std::optional<std::vector<int32_t>> allowed_token_ids = {};
  std::optional<StructuredOutputs> structured_outputs = {};
  std::optional<RepetitionDetection> repetition_detection = {};
  bool ignore_eos = false;
  bool include_stop_str_in_output = false;
  bool detokenize = true;
  bool skip_special_tokens = true;
  bool spaces_between_special_tokens = true;
  bool skip_reading_prefix_cache = false;
  OutputKind output_kind = OutputKind::kCumulative;

  bool greedy() const { return temperature < 1e-5; }
};

// What the ranges of some fields depend on.
struct SamplingLimits {
  int64_t vocab_size = 0;     // of the model
  int64_t max_logprobs = 20;  // −1: the vocabulary
};

// Errors name the field, what was expected and what was found. Then the values are what the sampler
// takes: a temperature above 0 is 0.01 or more, a greedy request's top_p, top_k and min_p are off,
// a seed of −1 is none, lists of ids are in order and have each once, a bias lies in ±100, a
// request for prompt_logprobs reads no cached prefix.
//
// Stricter than vLLM 0.18, as 0.32 is: numbers are finite, n is at most 16,384, stop_token_ids lie
// in the vocabulary, a regex has no NUL; stricter than either: a bias is no NaN. 0.32 refuses
// temperatures above 2, too; 0.18 does not, nor do we. vLLM bounds biases at its server only.
Status Settle(SamplingParams* params, const SamplingLimits& limits);

}  // namespace merope

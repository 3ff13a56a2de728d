// The sampling parameters of a request: the fields, defaults, ranges and rules of vLLM's
// SamplingParams (vLLM 0.18, vllm/sampling_params.py). The code that parses a request fills the
// parameters in. Engine::Submit checks and settles the parameters once, on the submitting thread.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "grammar/structured_outputs.h"

namespace merope {

// Ends a sequence that repeats itself: the sequence ends with a pattern of min_pattern_size to
// max_pattern_size tokens, min_count times in a row.
struct RepetitionDetection {
  int64_t max_pattern_size = 0;  // 0: off
  int64_t min_pattern_size = 0;  // 0: 1
  int64_t min_count = 0;         // 2 or more; not used if off
};

// Which events a request gives. kFinalOnly: one event per sequence, at its end. With the other two
// kinds, each event holds only the new part, and the reader builds the output that it wants.
enum class OutputKind : uint8_t { kCumulative, kDelta, kFinalOnly };

struct SamplingParams {
  int64_t n = 1;
  double presence_penalty = 0, frequency_penalty = 0, repetition_penalty = 1;
  double temperature = 1;  // 0: greedy; otherwise at least 0.01
  double top_p = 1, min_p = 0;
  int64_t top_k = 0;                 // −1 or 0: off
  std::optional<int64_t> seed = {};  // −1: no seed
  std::vector<std::string> stop = {};
  std::vector<int32_t> stop_token_ids = {};
  std::vector<std::string> bad_words = {};
  std::optional<int64_t> max_tokens = 16;  // nullopt: as many tokens as fit
  int64_t min_tokens = 0;
  std::optional<int64_t> logprobs = {}, prompt_logprobs = {};  // of this many tokens; −1: all
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

// Who sets a field. kRequest: both of OpenAI's endpoints read the field by the same rule.
// kEndpoint: each endpoint has its own rule. Python sets all fields.
enum class FieldOwner : uint8_t { kRequest, kEndpoint };

// The values of a number that Settle accepts. Infinities and NaN are outside every range.
struct FieldRange {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool open = false;  // least itself is outside
};

// A request has at most this number of sequences, as in vLLM 0.32.
inline constexpr double kMaxSequences = 16384;

// Calls visit(name, member, owner, range) for each field. All code that reads, checks or shows
// parameters uses this list.
template <class Visit>
void ForEachSamplingField(const Visit& visit_field) {
  using P = SamplingParams;
  using enum FieldOwner;
  const auto visit = [&](const char* name, auto member, FieldOwner owner, FieldRange range = {}) {
    visit_field(name, member, owner, range);
  };
  visit("n", &P::n, kRequest, {.least = 1, .most = kMaxSequences});
  visit("presence_penalty", &P::presence_penalty, kRequest, {.least = -2, .most = 2});
  visit("frequency_penalty", &P::frequency_penalty, kRequest, {.least = -2, .most = 2});
  visit("repetition_penalty", &P::repetition_penalty, kRequest, {.least = 0, .open = true});
  visit("temperature", &P::temperature, kRequest, {.least = 0});
  visit("top_p", &P::top_p, kRequest, {.least = 0, .most = 1, .open = true});
  visit("top_k", &P::top_k, kRequest, {.least = -1});
  visit("min_p", &P::min_p, kRequest, {.least = 0, .most = 1});
  visit("seed", &P::seed, kRequest);
  visit("stop", &P::stop, kRequest);
  visit("stop_token_ids", &P::stop_token_ids, kRequest);
  visit("bad_words", &P::bad_words, kRequest);
  visit("max_tokens", &P::max_tokens, kEndpoint, {.least = 1});
  visit("min_tokens", &P::min_tokens, kRequest, {.least = 0});
  visit("logprobs", &P::logprobs, kEndpoint);
  visit("prompt_logprobs", &P::prompt_logprobs, kEndpoint);
  visit("logit_bias", &P::logit_bias, kRequest);
  visit("allowed_token_ids", &P::allowed_token_ids, kRequest);
  visit("structured_outputs", &P::structured_outputs, kRequest);
  visit("repetition_detection", &P::repetition_detection, kRequest);
  visit("ignore_eos", &P::ignore_eos, kRequest);
  visit("include_stop_str_in_output", &P::include_stop_str_in_output, kRequest);
  visit("detokenize", &P::detokenize, kEndpoint);
  visit("skip_special_tokens", &P::skip_special_tokens, kRequest);
  visit("spaces_between_special_tokens", &P::spaces_between_special_tokens, kRequest);
  visit("skip_reading_prefix_cache", &P::skip_reading_prefix_cache, kEndpoint);
  visit("output_kind", &P::output_kind, kEndpoint);
}

// The values that the ranges of some fields depend on.
struct SamplingLimits {
  int64_t vocab_size = 0;     // of the model
  int64_t max_logprobs = 20;  // −1: the size of the vocabulary
};

// Checks and settles the parameters. Errors name the field, the expected value and the value that
// was found. Afterwards the values are those that the sampler takes: a temperature above 0 is at
// least 0.01; a greedy request has top_p, top_k and min_p off; a seed of −1 is no seed; lists of
// ids are in ascending order, without duplicates; a bias is from −100 to 100; a request for
// prompt_logprobs reads no cached prefix.
//
// Settle is stricter than vLLM 0.18, as vLLM 0.32 is: numbers must be finite, n is at most 16,384,
// stop_token_ids must be in the vocabulary, and a regex must have no NUL. Settle is stricter than
// both versions in one point: a bias must not be NaN. vLLM 0.32 also refuses temperatures above 2;
// vLLM 0.18 and Settle do not. vLLM bounds biases only in its server.
Status Settle(SamplingParams* params, const SamplingLimits& limits);

}  // namespace merope

// The engine reports on a request by events. Each event holds the new results of one of the
// request's sequences. The engine's thread makes the events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace merope {

enum class FinishReason : uint8_t { kStop, kLength, kAbort, kError, kRepetition };
std::string_view FinishReasonName(FinishReason reason);  // "stop", "length", …, as in vLLM

struct TokenLogprob {
  int32_t id = 0;
  // Natural logarithm of the probability, from the logits before the sampler changes them.
  float logprob = 0;
  // 1: the most likely token. For a position's own token, equally likely tokens count as ranked
  // before it, as in vLLM.
  int32_t rank = 0;
};
// The logprobs of one position: first the position's own token, then the k most likely tokens in
// order. If the position's own token is one of the k, it appears a second time among them.
using PositionLogprobs = std::vector<TokenLogprob>;

// The reason why a sequence ended, as in vLLM. monostate: nothing to report (the tokenizer's EOS,
// or the length). int32_t: a token of stop_token_ids, or another EOS. string: one of the strings of
// `stop`, or "repetition_detected".
using StopReason = std::variant<std::monostate, int32_t, std::string>;

// The times at which a request reached its stages, in seconds of the steady clock; 0: not yet.
struct RequestTimes {
  double queued = 0;       // the request was submitted
  double scheduled = 0;    // the first step with a part of the request began
  double first_token = 0;  // the step of the first token ended
  double last_token = 0;   // the latest step of a token ended
};

struct Event {
  int64_t index = 0;  // which of the request's n sequences
  // New since the last event of this sequence:
  std::vector<int32_t> ids;
  std::vector<double> token_times;         // (ids): end of each token's step, as in RequestTimes
  std::vector<PositionLogprobs> logprobs;  // (ids), if the request asks for logprobs
  std::string text;
  // The number of ids that are not the most probable token because a constraint forbade that one.
  int64_t forced = 0;
  // The sum of the logprobs of all tokens of the sequence so far, if the request asks for logprobs.
  double cumulative_logprob = 0;
  std::optional<FinishReason> finish_reason;
  StopReason stop_reason;
  // cached_tokens: the number of prompt tokens found in the prefix cache. prompt_logprobs: the
  // logprobs of each token of the prompt but the first, in sequence 0, if the request asks for
  // prompt_logprobs. Only the first event of a sequence has these values.
  int64_t cached_tokens = 0;
  std::vector<PositionLogprobs> prompt_logprobs;
  RequestTimes times = {};
  bool last = false;           // no event of this request follows
  std::optional<Error> error;  // with finish_reason kError
};

}  // namespace merope

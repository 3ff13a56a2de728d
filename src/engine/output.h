// What the engine says about a request: events, each what one step has made certain of one of its
// sequences.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace merope {

enum class FinishReason : uint8_t { kStop, kLength, kAbort, kError, kRepetition };
std::string_view FinishReasonName(FinishReason reason);  // "stop", "length", …, as vLLM has them

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;  // natural log, of the distribution before anything is done to it
  int32_t rank = 0;  // 1: the likeliest; tokens as likely as this one count as before it where vLLM
                     // counts them
};
// Of one position: its token first, then the likeliest k in order, that token among them again
// where it belongs to them.
using PositionLogprobs = std::vector<TokenLogprob>;

// What ended a sequence: nothing to say (the tokenizer's EOS, length), a token of stop_token_ids or
// another EOS, or a string: of stop, or "repetition_detected". As vLLM has them.
using StopReason = std::variant<std::monostate, int32_t, std::string>;

// When a request reached its stages, in seconds of the steady clock; 0: not yet.
struct RequestTimes {
  double queued = 0;       // submitted
  double scheduled = 0;    // the first step with a part of it began
  double first_token = 0;  // the step of its first token ended
  double last_token = 0;   // the latest such step ended
};

struct Event {
  int64_t index = 0;  // of the request's n sequences
  // What is new:
  std::vector<int32_t> ids;
  std::vector<PositionLogprobs> logprobs;  // (ids), where they were asked for
  std::string text;
  double cumulative_logprob = 0;  // of all its tokens so far, where logprobs were asked for
  std::optional<FinishReason> finish_reason;
  StopReason stop_reason;
  // In the first event of a request: the tokens of its prompt found in the prefix cache, and, where
  // asked for, the logprobs of each token of the prompt but the first.
  int64_t cached_tokens = 0;
  std::vector<PositionLogprobs> prompt_logprobs;
  RequestTimes times = {};
  bool last = false;     // nothing more comes of this request
  std::string error;     // with finish_reason kError
  bool refused = false;  // the error is the request's fault: what it asks for cannot be
};

}  // namespace merope

// The answer to an OpenAI request: what the engine's events of its prompts come to, and its body.
// Owned and used by one thread.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "engine/output.h"
#include "serve/api_error.h"
#include "serve/openai_request.h"
#include "serve/served_model.h"

namespace merope {

struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompts', found in the prefix cache
};

class OpenAiAnswer {
 public:
  explicit OpenAiAnswer(OpenAiRequest request);

  const OpenAiRequest& request() const { return request_; }
  // An event of the request that was made of this prompt.
  void Add(size_t prompt, Event event);
  bool whole() const { return ended_ == sequences_.size(); }
  const Usage& usage() const { return usage_; }

  // Where it is whole: the body, in JSON; or why there is none. created: in seconds since 1970.
  std::expected<std::string, ApiError> Body(const ServedModel& model, int64_t created) const;

 private:
  struct Sequence {
    std::vector<int32_t> ids;
    std::vector<PositionLogprobs> logprobs;
    std::string text;
    FinishReason finish_reason = FinishReason::kAbort;
    StopReason stop_reason;
  };

  std::string CompletionChoice(size_t index, const ServedModel& model) const;
  std::string ChatChoice(size_t index, const ServedModel& model) const;

  OpenAiRequest request_;
  std::vector<Sequence> sequences_;  // n of the first prompt, n of the second, …
  std::vector<std::vector<PositionLogprobs>> prompt_logprobs_;  // (prompts)
  size_t ended_ = 0;
  std::string error_;
  bool refused_ = false;  // the error is the request's
  Usage usage_;
};

// 32 random hexadecimal digits.
std::string RandomId();

}  // namespace merope

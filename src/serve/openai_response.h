// The answer to an OpenAI request. Collects the engine's events of the request's prompts into
// choices. Writes the choices as one body or as the chunks of a stream. Used by the batch. Owned
// and used by one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/output.h"
#include "serve/logprobs_json.h"
#include "serve/openai_request.h"
#include "serve/served_model.h"

namespace merope {

struct Usage {
  int64_t prompt_tokens = 0, completion_tokens = 0;
  int64_t cached_tokens = 0;  // prompt tokens that the prefix cache held
};

class OpenAiAnswer {
 public:
  // created: seconds since 1970. model must outlive the answer.
  OpenAiAnswer(OpenAiRequest request, const ServedModel& model, int64_t created);

  const OpenAiRequest& request() const { return request_; }
  // Adds an event of the engine's request for this prompt.
  void Add(size_t prompt, Event event);
  bool whole() const { return ended_ == choices_.size(); }
  const Usage& usage() const { return usage_; }

  // The body in JSON, or the error that ended the request. Call Body only when whole() is true.
  Result<std::string> Body() const;
  // Everything added since the last call, as the chunks of a stream. Each chunk is a JSON object.
  // An error is the last chunk. The joined chunks of a choice have the same content as the choice
  // in the body.
  std::vector<std::string> Chunks();

 private:
  // A choice so far. sent: the part of the choice that is already in chunks.
  struct Choice {
    std::vector<int32_t> ids = {};
    std::vector<PositionLogprobs> logprobs = {};
    std::string text = {};
    std::optional<FinishReason> finish_reason = {};
    StopReason stop_reason = {};
    struct {
      bool begun = false, ended = false;
      size_t ids = 0, text = 0;
      int64_t characters = 0;  // in the texts of the sent tokens
    } sent = {};
  };
  struct Part;

  // The part of the choice that is not yet in chunks.
  Part Rest(size_t index) const;
  OrderedJson CompletionJson(const Part& part) const;
  OrderedJson ChatJson(const Part& part, const char* member) const;
  std::string Chunk(const OrderedJson& choices, bool with_usage) const;
  std::string Head(std::string_view completions, std::string_view chat) const;
  OrderedJson UsageJson() const;
  TokenNames Names() const;

  OpenAiRequest request_;
  const ServedModel& model_;
  int64_t created_;
  std::string id_;
  std::vector<Choice> choices_;  // n of the first prompt, n of the second, …
  std::vector<std::vector<PositionLogprobs>> prompt_logprobs_;  // (prompts)
  size_t ended_ = 0;
  std::optional<Error> error_;
  bool closed_ = false;  // Chunks returned the last chunk
  Usage usage_;
};

// 32 random hexadecimal digits.
std::string RandomId();

}  // namespace merope

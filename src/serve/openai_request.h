// The body of a request to /v1/completions or /v1/chat/completions, typed: OpenAI's fields and
// those that vLLM adds, with vLLM's defaults and rules. Fields that neither has are passed over;
// what merope lacks is refused by name. Pure functions of any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"
#include "serve/api_error.h"
#include "serve/served_model.h"

namespace merope {

enum class Endpoint : uint8_t { kCompletions, kChatCompletions };
std::optional<Endpoint> EndpointAt(std::string_view path);

struct OpenAiPrompt {
  std::vector<int32_t> ids;
  std::string text;  // with echo: what the answer begins with
};

struct OpenAiRequest {
  Endpoint endpoint = Endpoint::kCompletions;
  std::string id;  // as the client wants to have it; empty: ours
  std::vector<OpenAiPrompt> prompts;
  SamplingParams params;  // of each prompt
  int64_t priority = 0;
  std::string cache_salt;

  // How it is answered.
  bool stream = false, include_usage = false, continuous_usage = false;
  bool echo = false;
  bool scores_prompt = false;  // echo with max_tokens 0: the one token that is generated is no part
                               // of the answer
  bool gives_prompt_logprobs = false;  // apart from those that echo wants
  bool gives_token_ids = false;
  bool tokens_as_ids = false;  // in logprobs, "token_id:7" for the token's text
};

// body: an object; text: what it was parsed from, by which JSON schemas keep the order of their
// properties. The values of the parameters are checked by Engine::Submit.
std::expected<OpenAiRequest, ApiError> ParseOpenAiRequest(Endpoint endpoint, const Json& body,
                                                          std::string_view text,
                                                          const ServedModel& model);

// For the engine: the request of one of its prompts.
Request EngineRequest(const OpenAiRequest& request, size_t prompt);

}  // namespace merope

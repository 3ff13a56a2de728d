// Parses the body of a request to /v1/completions or /v1/chat/completions into typed values. The
// body has OpenAI's fields and the fields that vLLM adds, with vLLM's defaults and rules. Fields
// that neither OpenAI nor vLLM has are ignored. A field that merope does not support is an error
// that names the field. Called by the batch. Pure functions; any thread may call them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"
#include "serve/served_model.h"

namespace merope {

enum class Endpoint : uint8_t { kCompletions, kChatCompletions };
std::optional<Endpoint> EndpointAt(std::string_view path);

struct OpenAiPrompt {
  std::vector<int32_t> ids;
  std::string text;  // with echo: the beginning of the answer
};

struct OpenAiRequest {
  Endpoint endpoint = Endpoint::kCompletions;
  std::string id;  // the id that the client asks for; empty: OpenAiAnswer makes an id
  std::vector<OpenAiPrompt> prompts;
  SamplingParams params;  // of each prompt
  int64_t priority = 0;
  std::string cache_salt;

  // The form of the answer.
  bool stream = false, include_usage = false, continuous_usage = false;
  bool echo = false;
  // echo with max_tokens 0: the engine generates one token, and the answer leaves it out.
  bool scores_prompt = false;
  bool gives_prompt_logprobs = false;  // the request has prompt_logprobs; echo does not set this
  bool gives_token_ids = false;
  bool tokens_as_ids = false;  // logprobs write "token_id:7" instead of the token's text
};

// body: a JSON object. text: the text that body was parsed from. JSON schemas are taken from text,
// because text keeps the order of their properties. Engine::Submit checks the values of the
// sampling parameters.
Result<OpenAiRequest> ParseOpenAiRequest(Endpoint endpoint, const Json& body, std::string_view text,
                                         const ServedModel& model);

// The engine's request for one prompt. prompt: index into request.prompts.
Request EngineRequest(const OpenAiRequest& request, size_t prompt);

}  // namespace merope

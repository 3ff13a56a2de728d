// Logprobs as OpenAI's two formats and vLLM's prompt_logprobs have them. −inf, which JSON has not,
// is −9999. Pure functions of any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/output.h"
#include "text/tokenizer.h"

namespace merope {

// How tokens are written.
struct TokenNames {
  const Tokenizer& tokenizer;
  bool as_ids = false;  // "token_id:7"

  std::string operator()(int32_t id) const;
};

// Of completions: {text_offset, token_logprobs, tokens, top_logprobs}, the offsets in characters.
// ids: those that have no logprobs (a prompt's first token) first, then one for each position.
nlohmann::ordered_json CompletionLogprobs(std::span<const int32_t> ids,
                                          std::span<const PositionLogprobs> positions,
                                          const TokenNames& names);
// Of chat: {content: [{token, bytes, logprob, top_logprobs}]}.
nlohmann::ordered_json ChatLogprobs(std::span<const PositionLogprobs> positions,
                                    const TokenNames& names);
// Of a prompt: null for its first token, then for each {id: {logprob, rank, decoded_token}}.
nlohmann::ordered_json PromptLogprobs(std::span<const PositionLogprobs> positions,
                                      const TokenNames& names);

}  // namespace merope

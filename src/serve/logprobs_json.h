// Writes logprobs in OpenAI's two formats and in the format of vLLM's prompt_logprobs. JSON has no
// −inf, so −inf is written as −9999. Called by OpenAiAnswer. Pure functions; any thread may call
// them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/output.h"
#include "text/tokenizer.h"

namespace merope {

// The text of a token in the answer.
struct TokenNames {
  const Tokenizer& tokenizer;
  bool as_ids = false;  // write "token_id:7" instead of the token's text

  std::string operator()(int32_t id) const;
};

// For completions: {text_offset, token_logprobs, tokens, top_logprobs}, with offsets in characters.
// positions: the logprobs of the last ids. The ids before them have no logprobs (the first token of
// a prompt); their entries are null. offset: the text offset of the first id.
OrderedJson CompletionLogprobs(std::span<const int32_t> ids,
                               std::span<const PositionLogprobs> positions, int64_t offset,
                               const TokenNames& names);
// The number of characters in the names of the tokens. Text offsets count these characters.
int64_t CountCharacters(std::span<const int32_t> ids, const TokenNames& names);
// For chat: {content: [{token, bytes, logprob, top_logprobs}]}.
OrderedJson ChatLogprobs(std::span<const PositionLogprobs> positions, const TokenNames& names);
// For a prompt: an array with null for the first token, then {id: {logprob, rank, decoded_token}}
// for each further token.
OrderedJson PromptLogprobs(std::span<const PositionLogprobs> positions, const TokenNames& names);

}  // namespace merope

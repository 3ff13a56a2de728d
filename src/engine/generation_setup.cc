#include "engine/generation_setup.h"

#include <algorithm>
#include <utility>

#include "engine/sampler.h"

namespace merope {
namespace {

Status CheckTokens(std::string_view field, std::span<const int32_t> ids, int64_t vocab_size) {
  for (const int32_t id : ids)
    if (id < 0 || id >= vocab_size)
      return FieldErr(field, "token {}: expected an id from 0 to {}", id, vocab_size - 1);
  return {};
}

}  // namespace

Status SetUp(Request request, const RequestLimits& limits, GenerationSetup* setup) {
  const int64_t vocab_size = setup->vocab_size;
  setup->params = std::move(request.params);
  TRY(Settle(&setup->params, {vocab_size, limits.max_logprobs}));
  const int64_t prompt = std::ssize(request.prompt), longest = limits.max_model_len;
  if (prompt == 0) return FieldErr("prompt", "expected at least one token, found none");
  TRY(CheckTokens("prompt", request.prompt, vocab_size));
  for (const std::vector<int32_t>& text : request.draft_texts)
    TRY(CheckTokens("draft_texts", text, vocab_size));
  if (prompt >= longest)
    return FieldErr("prompt",
                    "{} tokens, expected at most {}, one fewer than the model's length of {}",
                    prompt, longest - 1, longest);
  setup->max_tokens = std::min(setup->params.max_tokens.value_or(longest), longest - prompt);
  TRY_ASSIGN(setup->bad_words,
             EncodeBadWords(setup->tokenizer, setup->params.bad_words, vocab_size));
  setup->prompt = std::move(request.prompt);
  if (setup->params.repetition_penalty != 1)
    setup->prompt_ids = DistinctIds(setup->prompt, vocab_size);
  setup->priority = request.priority;
  setup->cache_salt = std::move(request.cache_salt);
  setup->constraint = std::move(request.constraint);
  setup->draft_texts = std::move(request.draft_texts);
  return {};
}

}  // namespace merope

// A checked request: everything that its sequences need. Engine::Submit makes the setup on the
// submitting thread. Later, the engine changes only the grammar, and only before the first sequence
// begins.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/request.h"
#include "grammar/grammar_compiler.h"
#include "text/tokenizer.h"

namespace merope {

struct GenerationSetup {
  const Tokenizer& tokenizer;
  std::span<const int32_t> eos_token_ids;
  std::optional<int32_t> eos_token_id = {};  // the tokenizer's own EOS token
  int64_t vocab_size = 0;
  std::vector<int32_t> prompt = {};
  std::vector<int32_t> prompt_ids = {};  // DistinctIds of the prompt, if penalties need them
  SamplingParams params = {};            // checked and settled (Settle)
  int64_t max_tokens = 0;
  std::vector<std::vector<int32_t>> bad_words = {};
  std::shared_ptr<const Grammar> grammar = {};  // may be null
  ConstraintMaker constraint = {};              // may be empty
  std::vector<std::vector<int32_t>> draft_texts = {};
  int64_t speculative_tokens = 0;
  int64_t constraint_work = 0;
  int64_t priority = 0;
  std::string cache_salt = {};
};

struct RequestLimits {
  int64_t max_logprobs = 0;   // see SamplingLimits
  int64_t max_model_len = 0;  // tokens
};

// Settles the request's parameters and moves the request into the setup. Does not set
// setup->grammar. Errors name the field: a parameter out of its range, a token outside the
// vocabulary, a prompt that leaves no room for a token.
Status SetUp(Request request, const RequestLimits& limits, GenerationSetup* setup);

}  // namespace merope

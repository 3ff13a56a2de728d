// One sequence of a request: from logits to tokens to text, and what ends it. Owned by the engine,
// used by its thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/constraint.h"
#include "engine/output.h"
#include "engine/prompt_lookup.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/stop_text.h"
#include "text/tokenizer.h"

namespace merope {

// What was found out about a request before any of its sequences began.
struct GenerationSetup {
  const Tokenizer& tokenizer;
  std::span<const int32_t> eos_token_ids;
  std::optional<int32_t> eos_token_id = {};  // of them, the tokenizer's own
  int64_t vocab_size = 0;
  std::vector<int32_t> prompt = {};
  std::vector<int32_t> prompt_ids = {};  // DistinctIds of it, where penalties want them
  SamplingParams params = {};            // settled
  int64_t max_tokens = 0;
  std::vector<std::vector<int32_t>> bad_words = {};
  std::shared_ptr<const Grammar> grammar = {};  // may be null
  int64_t speculative_tokens = 0;
  int64_t constraint_work = 0;
  int64_t priority = 0;
  std::string cache_salt = {};
};

class Generation : public Work {
 public:
  // The setup must outlive it. index: of the request's n.
  Generation(const GenerationSetup& setup, int64_t index, KvCache& kv);

  uint64_t request = 0;  // the engine's number of its request

  // logits (n, vocab_size): after the last n tokens that a step computed, of tokens and draft
  // together; the draft lies behind the tokens. Takes as many tokens as they are good for, cuts
  // back what was computed for nothing, and proposes the next draft, of at most `draft_room`
  // tokens.
  void Take(std::span<const float> logits, int64_t draft_room);
  // While it waits, the engine prepares this elsewhere, and then resets `waits`.
  const std::shared_ptr<Constraint>& constraint() const { return constraint_; }
  // From outside: aborted, or failed.
  void Finish(FinishReason reason, std::string error = {});

  bool finished() const { return finish_reason_.has_value(); }
  int64_t index() const { return index_; }
  int64_t generated() const { return std::ssize(tokens) - prompt_tokens; }
  // Of the last Take: proposed tokens that were computed, and those of them that were right.
  int64_t verified() const { return verified_; }
  int64_t accepted() const { return accepted_; }

  // Whether the reader is to hear of it now; what is new since the last time.
  bool HasNews() const;
  Event News();

 private:
  void TakePromptLogprobs(std::span<const float> logits, int64_t first);
  void TakeToken(std::span<const float> logits);
  void RefuseLogits(int64_t after);  // those after so many tokens
  void AddText(int32_t id, bool ends);
  void End(FinishReason reason, StopReason stop_reason);
  // Whether it is known what the next token may be; else it waits from now on.
  bool KnowsWhatMayFollow();
  // Without an EOS in the vocabulary, nothing else says that a structured text is whole.
  bool EndsByItself() const;
  bool RepeatsItself() const;

  const GenerationSetup& setup_;
  const SamplingParams& params_;
  int64_t index_;
  Sampler sampler_;
  std::shared_ptr<Constraint> constraint_;  // null: anything may follow
  bool constraint_is_slow_ = false;
  StreamDecoder decoder_;
  StopText stops_;
  PromptLookup lookup_;
  std::optional<FinishReason> finish_reason_;
  StopReason stop_reason_;
  int64_t verified_ = 0, accepted_ = 0;
  bool announced_ = false;  // of its events, one has gone out
  Event news_;
};

}  // namespace merope

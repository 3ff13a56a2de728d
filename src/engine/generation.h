// One sequence of a request: turns logits into tokens and tokens into text, and decides when the
// sequence ends. The engine owns a Generation and uses it on the engine's thread.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/generation_setup.h"
#include "engine/output.h"
#include "engine/prompt_lookup.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/stop_text.h"
#include "grammar/token_constraint.h"
#include "text/tokenizer.h"

namespace merope {

class Generation : public Work {
 public:
  // The setup must outlive the Generation. index: which of the request's n sequences this is.
  Generation(const GenerationSetup& setup, int64_t index, KvCache& kv);

  uint64_t request = 0;  // the id of the sequence's request

  // logits (n, vocab_size): the logits after the last n tokens that a step computed. A step
  // computes the sequence's tokens first, then the draft. Takes as many new tokens as the logits
  // allow: one, and one more for each draft token that was right. Removes the wrong draft tokens
  // from the KV cache. Then proposes the next draft, of at most `draft_room` tokens.
  void AcceptLogits(std::span<const float> logits, int64_t draft_room);
  // While `waits` is set, another thread prepares this constraint. The engine then resets `waits`.
  const std::shared_ptr<TokenConstraint>& constraint() const { return constraint_; }
  // Ends the sequence from outside: the sequence is aborted or has failed.
  void Finish(FinishReason reason, std::optional<Error> error = {});

  bool finished() const { return finish_reason_.has_value(); }
  int64_t index() const { return index_; }
  int64_t generated() const { return std::ssize(tokens) - prompt_tokens; }
  // For the last AcceptLogits: the number of draft tokens that were computed, and the number of
  // these that were right.
  int64_t verified() const { return verified_; }
  int64_t accepted() const { return accepted_; }

  // Sets the time (as in RequestTimes) of the new tokens that have no time yet.
  void StampTokens(double now) { news_.token_times.resize(news_.ids.size(), now); }
  // HasNews: whether the reader gets an event now. News: that event, with everything new since the
  // last event.
  bool HasNews() const;
  Event News();

 private:
  void RecordPromptLogprobs(std::span<const float> logits, int64_t first);
  void AcceptToken(std::span<const float> logits);
  // Ends the sequence with an error: the logits after `after` tokens are not finite.
  void RefuseLogits(int64_t after);
  void AddText(int32_t id, bool ends);
  void End(FinishReason reason, StopReason stop_reason);
  std::shared_ptr<TokenConstraint> MakeConstraint() const;  // may be null
  // Whether it is known which tokens may follow. If not, the sequence waits from now on.
  bool KnowsWhatMayFollow();
  // Whether the structured text is complete and the vocabulary has no EOS. Without an EOS, no token
  // can say that the text is complete.
  bool EndsByItself() const;
  bool RepeatsItself() const;

  const GenerationSetup& setup_;
  const SamplingParams& params_;
  int64_t index_;
  Sampler sampler_;
  std::shared_ptr<TokenConstraint> constraint_;  // null: anything may follow
  bool constraint_is_slow_ = false;
  StreamDecoder decoder_;
  StopText stops_;
  PromptLookup lookup_;
  std::optional<FinishReason> finish_reason_;
  StopReason stop_reason_;
  int64_t verified_ = 0, accepted_ = 0;
  bool announced_ = false;  // News has returned an event of this sequence
  Event news_;
};

}  // namespace merope

#include "engine/generation.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "grammar/grammar_constraint.h"

namespace merope {
namespace {

bool AllFinite(std::span<const float> row) {
  constexpr uint32_t kExponent = 0x7f800000;  // all ones: infinity or NaN
  uint32_t found = 0;
  for (const float z : row) found |= (std::bit_cast<uint32_t>(z) & kExponent) == kExponent;
  return found == 0;
}

bool Allows(std::span<const uint32_t> mask, int64_t id) {
  return (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

}  // namespace

Generation::Generation(const GenerationSetup& setup, int64_t index, KvCache& kv)
    : Work(kv),
      setup_(setup),
      params_(setup.params),
      index_(index),
      sampler_(std::shared_ptr<const SamplingParams>(std::shared_ptr<void>(), &setup.params), index,
               {setup.prompt_ids, setup.eos_token_ids, setup.bad_words, setup.vocab_size}),
      decoder_(setup.tokenizer, setup.params.skip_special_tokens, setup.prompt),
      stops_(setup.params.stop, setup.params.include_stop_str_in_output),
      lookup_(setup.speculative_tokens) {
  priority = setup.priority;
  tokens.reserve(setup.prompt.size() +
                 static_cast<size_t>(setup.max_tokens + setup.speculative_tokens));
  tokens = setup.prompt;
  prompt_tokens = std::ssize(tokens);
  all_logits = params_.prompt_logprobs.has_value() && index == 0;
  reads_prefix_cache = !params_.skip_reading_prefix_cache;
  cache_salt = setup.cache_salt;
  constraint_ = MakeConstraint();
}

std::shared_ptr<TokenConstraint> Generation::MakeConstraint() const {
  std::vector<std::unique_ptr<TokenConstraint>> all;
  if (setup_.grammar) all.push_back(std::make_unique<GrammarConstraint>(setup_.grammar));
  if (setup_.constraint) all.push_back(setup_.constraint());
  if (all.empty()) return nullptr;
  if (all.size() == 1) return std::move(all[0]);
  return std::make_shared<AllConstraints>(std::move(all));
}

void Generation::AcceptLogits(std::span<const float> logits, int64_t draft_room) {
  const auto vocab = static_cast<size_t>(setup_.vocab_size);
  const auto row = [&](int64_t i) { return logits.subspan(static_cast<size_t>(i) * vocab, vocab); };
  const int64_t rows = std::ssize(logits) / setup_.vocab_size, computed = sequence.length();
  const int64_t known = std::ssize(tokens);  // the other computed tokens are draft tokens
  verified_ = std::max<int64_t>(computed - known, 0);
  accepted_ = 0;
  if (all_logits) {
    RecordPromptLogprobs(logits, computed - rows);
    if (computed >= prompt_tokens) all_logits = false;
  }
  if (finished()) return;
  if (computed < known) return;  // in the middle of the prompt

  int64_t at = rows - 1 - verified_;
  AcceptToken(row(at));
  while (!finished() && !waits && accepted_ < verified_ &&
         tokens.back() == draft[static_cast<size_t>(accepted_)]) {
    ++accepted_;
    AcceptToken(row(++at));
  }
  sequence.Truncate(std::min(computed, std::ssize(tokens) - 1));
  if (verified_ > 0) lookup_.Learn(verified_, accepted_);
  draft.clear();
  if (finished() || setup_.speculative_tokens == 0) return;
  lookup_.Propose(tokens, setup_.draft_texts,
                  std::min(draft_room, setup_.max_tokens - generated() - 1), &draft);
}

// The first row of logits holds the logits after the token at position `first`.
void Generation::RecordPromptLogprobs(std::span<const float> logits, int64_t first) {
  const auto vocab = static_cast<size_t>(setup_.vocab_size);
  std::vector<PositionLogprobs>& found = news_.prompt_logprobs;
  for (int64_t i = 0; static_cast<size_t>(i + 1) * vocab <= logits.size(); ++i) {
    const auto next = static_cast<size_t>(first + i + 1);
    if (next >= static_cast<size_t>(prompt_tokens)) break;
    if (next <= found.size()) continue;  // known from before the sequence was preempted
    CHECK(next == found.size() + 1);
    const std::span row = logits.subspan(static_cast<size_t>(i) * vocab, vocab);
    if (!AllFinite(row)) return RefuseLogits(first + i + 1);
    found.push_back(TopLogprobs(row, tokens[next], *params_.prompt_logprobs));
  }
}

void Generation::RefuseLogits(int64_t after) {
  Finish(FinishReason::kError,
         Error{fmt::format("logits: expected finite numbers, found NaN or infinity after token {}: "
                           "the model's arithmetic overflows, or its weights are damaged",
                           after),
               ErrorCode::kInternal});
}

// Prepares a position on the engine's thread if this takes little work. After the first position
// that takes more work, other threads prepare the masks, and the engine computes the logits of a
// waiting position again. The new logits are bit-identical to the first ones.
bool Generation::KnowsWhatMayFollow() {
  if (!constraint_) return true;
  if (!constraint_is_slow_) {
    try {
      constraint_is_slow_ = !constraint_->Prepare(setup_.constraint_work);
    } catch (const std::exception&) {  // on another thread, the exception ends the request
      constraint_is_slow_ = true;
    }
    waits = constraint_is_slow_;
  } else {
    waits = !constraint_->prepared();
  }
  return !waits;
}

void Generation::AcceptToken(std::span<const float> logits) {
  if (!KnowsWhatMayFollow()) return;
  if (EndsByItself()) return End(FinishReason::kStop, {});  // only the empty text is allowed
  if (!AllFinite(logits)) return RefuseLogits(std::ssize(tokens));
  const std::span<const uint32_t> mask =
      constraint_ ? constraint_->mask() : std::span<const uint32_t>();
  if (constraint_ && std::ranges::none_of(mask, [](uint32_t word) { return word != 0; }))
    return Finish(FinishReason::kError, Error{"constraints: they allow no token in common"});
  const int32_t id = sampler_.Sample(logits, mask);
  if (constraint_) news_.forced += !Allows(mask, std::ranges::max_element(logits) - logits.begin());
  if (constraint_) constraint_->Accept(id);
  tokens.push_back(id);
  news_.ids.push_back(id);
  if (params_.logprobs) {
    news_.logprobs.push_back(TopLogprobs(logits, id, *params_.logprobs));
    news_.cumulative_logprob += static_cast<double>(news_.logprobs.back().front().logprob);
  }

  std::optional<FinishReason> reason;
  StopReason stopped_by;
  const bool may_end = !constraint_ || constraint_->may_end();
  if (generated() >= params_.min_tokens && may_end) {
    const auto among = [id](std::span<const int32_t> ids) {
      return std::ranges::find(ids, id) != ids.end();
    };
    const bool eos = among(setup_.eos_token_ids), ends = eos && !params_.ignore_eos;
    const bool stops = !ends && std::ranges::binary_search(params_.stop_token_ids, id);
    // Even with ignore_eos, nothing can follow an EOS that ends the structured text.
    const bool is_over = eos && constraint_;
    if (ends || stops || is_over) reason = FinishReason::kStop;
    if (stops || (ends && setup_.eos_token_id && id != *setup_.eos_token_id)) stopped_by = id;
  }
  if (params_.detokenize) AddText(id, reason.has_value());
  if (stops_.stopped_by()) return End(FinishReason::kStop, *stops_.stopped_by());
  if (!reason && KnowsWhatMayFollow() && EndsByItself()) reason = FinishReason::kStop;
  if (!reason && generated() == setup_.max_tokens) reason = FinishReason::kLength;
  if (!reason && generated() >= params_.min_tokens && RepeatsItself()) {
    reason = FinishReason::kRepetition;
    stopped_by = "repetition_detected";
  }
  if (reason) End(*reason, std::move(stopped_by));
}

bool Generation::EndsByItself() const {
  const auto in_vocabulary = [this](int32_t id) { return id >= 0 && id < setup_.vocab_size; };
  return constraint_ && std::ranges::none_of(setup_.eos_token_ids, in_vocabulary) &&
         constraint_->finished();
}

// The token that ends a sequence is not part of its text, unless the request asks for the stop
// string in the output.
void Generation::AddText(int32_t id, bool ends) {
  if (ends && !params_.include_stop_str_in_output) return;
  // A model's vocabulary may be padded beyond the tokenizer's vocabulary. An id in the padding has
  // no text.
  if (id >= setup_.tokenizer.vocab_size()) return;
  const bool may_end = !constraint_ || constraint_->may_end();
  news_.text += stops_.Push(decoder_.Push(id), generated() > params_.min_tokens && may_end);
}

bool Generation::RepeatsItself() const {
  if (!params_.repetition_detection) return false;
  const RepetitionDetection& wanted = *params_.repetition_detection;
  const std::span output = std::span(tokens).subspan(static_cast<size_t>(prompt_tokens));
  for (int64_t size = std::max<int64_t>(wanted.min_pattern_size, 1);
       size <= wanted.max_pattern_size; ++size) {
    if (wanted.min_count > std::ssize(output) / size) break;
    const int64_t repeated = size * wanted.min_count;
    const std::span end = output.last(static_cast<size_t>(repeated));
    if (std::ranges::equal(end.first(end.size() - static_cast<size_t>(size)),
                           end.subspan(static_cast<size_t>(size))))
      return true;
  }
  return false;
}

void Generation::End(FinishReason reason, StopReason stop_reason) {
  if (params_.detokenize && !stops_.stopped_by()) {
    // An unfinished character may also complete a stop string.
    news_.text += stops_.Push(decoder_.Finish(), generated() > params_.min_tokens);
    news_.text += stops_.Finish();
    if (stops_.stopped_by()) {
      reason = FinishReason::kStop;
      stop_reason = *stops_.stopped_by();
    }
  }
  draft.clear();
  waits = false;
  finish_reason_ = reason;
  stop_reason_ = std::move(stop_reason);
}

void Generation::Finish(FinishReason reason, std::optional<Error> error) {
  news_.error = std::move(error);
  End(reason, {});
}

bool Generation::HasNews() const {
  return finished() || (!news_.ids.empty() && params_.output_kind != OutputKind::kFinalOnly);
}

Event Generation::News() {
  news_.index = index_;
  news_.cached_tokens = announced_ ? 0 : cached_tokens;
  news_.finish_reason = finish_reason_;
  news_.stop_reason = stop_reason_;
  announced_ = true;
  Event event = std::exchange(news_, {});
  news_.cumulative_logprob = event.cumulative_logprob;
  return event;
}

}  // namespace merope

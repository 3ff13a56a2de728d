// Turns rows of logits into the tokens of one sequence, as its parameters ask. Owned by that
// sequence, used by one thread at a time. What it keeps is what its next token depends on: the
// tokens that were seen, and the place in a stream of random numbers; scratch memory is the
// thread's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "engine/output.h"
#include "engine/sampling_params.h"
#include "text/tokenizer.h"

namespace merope {

// eos_token_ids are read while a Sampler is made, not later.
struct SamplerContext {
  // The prompt's distinct tokens, in order (DistinctIds); they outlive the Sampler, and a request's
  // samplers share them.
  std::span<const int32_t> prompt = {};
  std::span<const int32_t> eos_token_ids = {};
  std::vector<std::vector<int32_t>> bad_words = {};  // of EncodeBadWords
  int64_t vocab_size = 0;                            // of every row of logits
};

class Sampler {
 public:
  // params are settled, and shared with the request's others. index: which of its n sequences; it
  // is added to the seed. A request without a seed draws one from the system.
  Sampler(std::shared_ptr<const SamplingParams> params, int64_t index, SamplerContext context);

  // The token that follows, counted from then on as generated. mask, if not empty, is what a
  // constraint allows: bit id % 32 of word id / 32.
  //
  // In vLLM's order: mask and allowed_token_ids, bad_words, EOS and stop tokens before min_tokens,
  // logit_bias; the penalties of repetition (prompt and generated), frequency and presence
  // (generated); then the greatest, or temperature, min_p, top_k, top_p, each of what the one
  // before has left. Ties in greedy choice, and at the borders of top_k and top_p, go to the
  // smaller id (at top_k's, vLLM keeps all of them). −∞ and NaN are never chosen while another is
  // left. The n-th call of two samplers of the same parameters, index and context gives the same
  // token for the same rows.
  //
  // Where nothing is left: the likeliest that mask and allowed_token_ids allow together, whatever
  // else forbids it; or that mask allows; or the first EOS; or 0.
  int32_t Sample(std::span<const float> logits, std::span<const uint32_t> mask = {});

 private:
  // A token that was generated, and how often; kept where penalties want it.
  struct Seen {
    int32_t id;
    int32_t times;
    bool in_prompt;
  };

  bool penalizes() const;
  void See(int32_t id);
  // The row as everything before the temperature leaves it: itself where nothing changes it.
  std::span<const float> Change(std::span<const float> logits,
                                std::span<const uint32_t> mask) const;
  void BanWords(std::span<float> logits) const;
  void Penalize(std::span<float> logits) const;
  int32_t Draw(std::span<const float> logits, int32_t best) const;
  int32_t WhereNothingIsLeft(std::span<const float> logits, std::span<const uint32_t> mask) const;

  std::shared_ptr<const SamplingParams> shared_params_;
  const SamplingParams& params_;
  uint64_t seed_ = 0;
  size_t vocab_size_;
  std::vector<uint32_t> allowed_;  // allowed_token_ids as a mask; empty: all
  std::vector<int32_t> ends_;      // EOS (first) and stop tokens
  bool has_eos_ = false;
  std::vector<std::vector<int32_t>> bad_words_;
  std::span<const int32_t> prompt_;
  std::vector<int32_t> generated_;
  std::vector<Seen> seen_;
  std::unordered_map<int32_t, size_t> places_;  // of ids in seen_
};

// The ids of the vocabulary among these, each once, in order.
std::vector<int32_t> DistinctIds(std::span<const int32_t> ids, int64_t vocab_size);

// The tokens of words that must not be generated, each word as at the start of a text and, where
// that is another first token and not more or fewer of them, after a space. Errors: a word that is
// no UTF-8, has no tokens, or has some outside the model's vocabulary.
Result<std::vector<std::vector<int32_t>>> EncodeBadWords(const Tokenizer& tokenizer,
                                                         std::span<const std::string> words,
                                                         int64_t vocab_size);

// Of ln softmax(logits): the token's, its rank the number of tokens as likely or likelier; then the
// likeliest k (−1: all) in order, equals by id, ranked 1 to k. NaN counts as −∞.
PositionLogprobs TopLogprobs(std::span<const float> logits, int32_t token, int64_t k);

// ln softmax(logits)[token], computed in double.
double LogProb(std::span<const float> logits, int32_t token);

}  // namespace merope

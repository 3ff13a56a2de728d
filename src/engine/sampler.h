// Turns rows of logits into the tokens of one sequence, as the request's parameters ask. Each
// sequence owns one Sampler. One thread at a time uses a Sampler. A Sampler keeps only the state
// that its next token depends on: the tokens seen so far, and the position in a stream of random
// numbers. The scratch memory belongs to the thread.
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

// The Sampler reads eos_token_ids only in its constructor.
struct SamplerContext {
  // The prompt's distinct tokens in ascending order (DistinctIds). These tokens must outlive the
  // Sampler. All samplers of a request share them.
  std::span<const int32_t> prompt = {};
  std::span<const int32_t> eos_token_ids = {};
  std::vector<std::vector<int32_t>> bad_words = {};  // from EncodeBadWords
  int64_t vocab_size = 0;                            // length of every row of logits
};

class Sampler {
 public:
  // params must be settled. All samplers of a request share params. index: which of the request's n
  // sequences this is; the sampler adds index to the seed. If the request has no seed, the sampler
  // draws a seed from the system.
  Sampler(std::shared_ptr<const SamplingParams> params, int64_t index, SamplerContext context);

  // Returns the next token, and counts this token as generated from then on. mask, if not empty,
  // holds the tokens that a constraint allows: bit id % 32 of word id / 32.
  //
  // Sample in sampler.cc lists the rules in their order, which is vLLM's. Ties in greedy choice,
  // and at the borders of top_k and top_p, go to the smaller id (vLLM keeps all ties at the border
  // of top_k). −∞ and NaN are never chosen while another token is left. The n-th calls of two
  // samplers with the same seed, parameters, index and context give the same token for the same
  // rows.
  //
  // If no token is left, Sample returns the most likely token that mask and allowed_token_ids both
  // allow, even if another rule forbids it. If there is no such token, Sample returns the most
  // likely token that mask allows. Otherwise Sample returns the first EOS, or 0 if there is no EOS.
  int32_t Sample(std::span<const float> logits, std::span<const uint32_t> mask = {});

 private:
  // A generated token, and how often it was generated. Kept only if penalties need it.
  struct Seen {
    int32_t id;
    int32_t times;
    bool in_prompt;
  };

  bool penalizes() const;
  void See(int32_t id);
  // The row after all changes that come before temperature. Returns the row itself if nothing
  // changes.
  std::span<const float> Change(std::span<const float> logits,
                                std::span<const uint32_t> mask) const;
  void BanWords(std::span<float> logits) const;
  void Penalize(std::span<float> logits) const;
  int32_t Draw(std::span<const float> logits, int32_t best) const;
  int32_t FallbackToken(std::span<const float> logits, std::span<const uint32_t> mask) const;

  std::shared_ptr<const SamplingParams> shared_params_;
  const SamplingParams& params_;
  uint64_t seed_ = 0;
  size_t vocab_size_;
  std::vector<uint32_t> allowed_;  // allowed_token_ids as a mask; empty: all are allowed
  std::vector<int32_t> ends_;      // EOS tokens first, then stop tokens
  bool has_eos_ = false;
  std::vector<std::vector<int32_t>> bad_words_;
  std::span<const int32_t> prompt_;
  std::vector<int32_t> generated_;
  std::vector<Seen> seen_;
  std::unordered_map<int32_t, size_t> places_;  // index in seen_ for each id
};

// The ids that are in the vocabulary, each one once, in ascending order.
std::vector<int32_t> DistinctIds(std::span<const int32_t> ids, int64_t vocab_size);

// Encodes words that must not be generated. Each word is encoded as at the start of a text. The
// encoding after a space is added if its first token differs and its number of tokens is the same.
// Errors: a word that is not UTF-8, has no tokens, or has tokens outside the model's vocabulary.
Result<std::vector<std::vector<int32_t>>> EncodeBadWords(const Tokenizer& tokenizer,
                                                         std::span<const std::string> words,
                                                         int64_t vocab_size);

// From ln softmax(logits): first the token, whose rank is the number of tokens that are at least as
// likely. Then the k most likely tokens (−1: all) in order, with ranks 1 to k and equal tokens
// ordered by id. NaN counts as −∞.
PositionLogprobs TopLogprobs(std::span<const float> logits, int32_t token, int64_t k);

// ln softmax(logits)[token], computed in double precision.
double LogProb(std::span<const float> logits, int32_t token);

}  // namespace merope

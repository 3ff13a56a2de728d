#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "engine/random.h"
#include "text/strings.h"

namespace merope {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr size_t kBlock = 1024;  // logits that are processed together

struct Candidate {
  float logit = 0;
  int32_t id = 0;
  float weight = 0;  // exp((logit − greatest logit) / temperature), if it has been computed
};

// Comes after every candidate above −∞.
constexpr Candidate kLast{std::numeric_limits<float>::lowest(),
                          std::numeric_limits<int32_t>::max()};

// Most likely first; equal logits in order of id.
bool Before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// Scratch memory. Hundreds of sequences sample one after the other and share this memory.
struct Scratch {
  std::vector<float> logits;
  std::vector<Candidate> kept, list;
};
thread_local Scratch scratch;

bool Has(std::span<const uint32_t> mask, size_t id) {
  return mask.empty() || (mask[id / 32] >> (id % 32) & 1) != 0;
}

void Allow(std::span<const uint32_t> mask, std::span<float> logits) {
  for (size_t begin = 0; begin < logits.size() && !mask.empty(); begin += 32) {
    const uint32_t word = mask[begin / 32];
    if (word == ~uint32_t{0}) continue;
    const std::span<float> part =
        logits.subspan(begin, std::min<size_t>(32, logits.size() - begin));
    for (size_t i = 0; i < part.size(); ++i)
      if ((word >> i & 1) == 0) part[i] = kMinusInfinity;
  }
}

// The smallest id of the greatest logit; 0 if no logit is above −∞. Lanes and blocks let the
// compiler compare many logits at once. Only the block with the greatest logit is searched for the
// id.
int32_t Greatest(std::span<const float> logits) {
  constexpr size_t kLanes = 16;
  float best = kMinusInfinity;
  size_t at = 0;
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    std::array<float, kLanes> lanes;
    lanes.fill(kMinusInfinity);
    size_t i = 0;
    for (; i + kLanes <= block.size(); i += kLanes)
      for (size_t j = 0; j < kLanes; ++j)
        lanes[j] = block[i + j] > lanes[j] ? block[i + j] : lanes[j];
    for (; i < block.size(); ++i) lanes[0] = block[i] > lanes[0] ? block[i] : lanes[0];
    const float top = *std::ranges::max_element(lanes);
    if (!(top > best)) continue;
    best = top;
    at = begin;
  }
  if (best == kMinusInfinity) return 0;
  while (logits[at] != best) ++at;
  return static_cast<int32_t>(at);
}

// The k most likely of the tokens above −∞, in no particular order. When the list has grown too
// long, Likeliest cuts the list back to k. From then on, logits that are not above the last one in
// the list are skipped.
void Likeliest(std::span<const float> logits, size_t k, std::vector<Candidate>* list) {
  const auto cut = [&] {
    const auto last = list->begin() + static_cast<std::ptrdiff_t>(k) - 1;
    std::nth_element(list->begin(), last, list->end(), Before);
    list->resize(k);
    return list->back().logit;
  };
  const size_t limit = k + std::max<size_t>(k, 64);
  list->clear();
  float floor = kMinusInfinity;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!(logits[id] > floor)) continue;
    list->push_back({logits[id], static_cast<int32_t>(id)});
    if (list->size() == limit) floor = cut();
  }
  if (list->size() > k) cut();
}

// Takes the smallest set of most likely candidates whose weights sum to at least `share`, and
// returns the last candidate of this set. Sums the weights of all kept candidates in buckets of
// logits, from `highest` down to `lowest`. Sorts only the bucket in which the sum reaches `share`.
Candidate LastOfShare(std::span<const Candidate> kept, float highest, float lowest, double share) {
  constexpr int32_t kBuckets = 2048;
  const double top = highest, range = top - lowest, scale = range > 0 ? kBuckets / range : 0;
  // The conversion goes through int32_t, which takes one instruction.
  const auto bucket = [&](const Candidate& x) {
    return static_cast<size_t>(static_cast<int32_t>((top - x.logit) * scale));
  };
  std::array<double, kBuckets + 1> weights{};
  for (const Candidate& x : kept) weights[bucket(x)] += static_cast<double>(x.weight);
  double sum = 0;
  size_t at = 0;
  while (at < kBuckets && sum + weights[at] < share) sum += weights[at++];
  std::vector<Candidate>& list = scratch.list;
  list.clear();
  std::ranges::copy_if(kept, std::back_inserter(list),
                       [&](const Candidate& x) { return bucket(x) == at; });
  std::ranges::sort(list, Before);
  for (const Candidate& x : list)
    if ((sum += static_cast<double>(x.weight)) >= share) return x;
  return list.empty() ? kLast : list.back();  // only if rounding errors leave a remainder
}

// exp(x) for x from −87 to 0, and exp(−87) for smaller x. The relative error is 2 parts in 10^7.
// The rounding of an x near −20 to fp32 can cause at least the same error. The code has no
// branches, so that compilers compute several values at once. A draw from the whole vocabulary
// spends most of its time in this function.
float ExpOfNegative(float x) {
  constexpr auto kLeast = std::bit_cast<uint32_t>(-87.0f);
  x = std::bit_cast<float>(std::min(std::bit_cast<uint32_t>(x), kLeast));
  // x = n · ln 2 + r. Adding 1.5 · 2^23 rounds to an integer and leaves the integer in the lowest
  // bits.
  constexpr float kRound = 0x1.8p23f, kLn2High = 0x1.62e4p-1f, kLn2Low = 1.42860682e-6f;
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float sum = 1.0f / 5040;  // the Taylor series of exp(r), |r| ≤ ln 2 / 2
  for (const float term : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 1.0f / 2, 1.0f, 1.0f})
    sum = sum * r + term;
  const uint32_t exponent =
      std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound) + 127;
  return std::bit_cast<float>(exponent << 23) * sum;
}

// The smallest float that is not below x.
float RoundUp(double x) {
  const auto rounded = static_cast<float>(x);
  return static_cast<double>(rounded) < x
             ? std::nextafter(rounded, std::numeric_limits<float>::infinity())
             : rounded;
}

double LogSumExp(std::span<const float> logits) {
  const auto top = static_cast<double>(logits[static_cast<size_t>(Greatest(logits))]);
  double sum = 0;
  for (const float logit : logits)
    if (logit > kMinusInfinity) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum);
}

}  // namespace

Sampler::Sampler(std::shared_ptr<const SamplingParams> params, int64_t index,
                 SamplerContext context)
    : shared_params_(std::move(params)),
      params_(*shared_params_),
      vocab_size_(static_cast<size_t>(context.vocab_size)),
      bad_words_(std::move(context.bad_words)),
      prompt_(context.prompt) {
  if (params_.seed) {
    seed_ = static_cast<uint64_t>(*params_.seed) + static_cast<uint64_t>(index);
  } else if (!params_.greedy()) {
    std::random_device system;
    seed_ = uint64_t{system()} << 32 | system();
  }
  const auto in_vocabulary = [this](int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < vocab_size_;
  };
  std::ranges::copy_if(context.eos_token_ids, std::back_inserter(ends_), in_vocabulary);
  has_eos_ = !ends_.empty();
  std::ranges::copy_if(params_.stop_token_ids, std::back_inserter(ends_), in_vocabulary);
  if (params_.allowed_token_ids) {
    allowed_.resize((vocab_size_ + 31) / 32);
    for (const int32_t id : *params_.allowed_token_ids)
      if (in_vocabulary(id)) allowed_[static_cast<size_t>(id) / 32] |= uint32_t{1} << (id % 32);
  }
}

// The order of the rules: first mask and allowed_token_ids, then bad_words, then the ban of EOS and
// stop tokens before min_tokens, then logit_bias, then the penalties: repetition (prompt and
// generated tokens), frequency and presence (generated tokens). Then greedy choice takes the
// greatest logit. Without greedy choice, temperature, min_p, top_k and top_p follow in this order.
// Each of these rules applies to the tokens that the previous rule left.
int32_t Sampler::Sample(std::span<const float> logits, std::span<const uint32_t> mask) {
  CHECK(logits.size() == vocab_size_, "{} logits, expected {}", logits.size(), vocab_size_);
  CHECK(mask.empty() || mask.size() * 32 >= vocab_size_, "{} words of mask", mask.size());
  const std::span<const float> changed = Change(logits, mask);
  int32_t token = Greatest(changed);
  if (!(changed[static_cast<size_t>(token)] > kMinusInfinity)) {
    token = FallbackToken(logits, mask);
  } else if (!params_.greedy()) {
    token = Draw(changed, token);
  }
  generated_.push_back(token);
  if (penalizes()) See(token);
  return token;
}

bool Sampler::penalizes() const {
  return params_.repetition_penalty != 1 || params_.frequency_penalty != 0 ||
         params_.presence_penalty != 0;
}

void Sampler::See(int32_t id) {
  const auto [place, is_new] = places_.try_emplace(id, seen_.size());
  if (is_new) seen_.push_back({id, 0, std::ranges::binary_search(prompt_, id)});
  ++seen_[place->second].times;
}

std::span<const float> Sampler::Change(std::span<const float> logits,
                                       std::span<const uint32_t> mask) const {
  const bool goes_on = std::ssize(generated_) < params_.min_tokens && !ends_.empty();
  if (mask.empty() && allowed_.empty() && bad_words_.empty() && !goes_on &&
      params_.logit_bias.empty() && !penalizes())
    return logits;
  std::vector<float>& changed = scratch.logits;
  changed.assign(logits.begin(), logits.end());
  Allow(mask, changed);
  Allow(allowed_, changed);
  BanWords(changed);
  if (goes_on)
    for (const int32_t id : ends_) changed[static_cast<size_t>(id)] = kMinusInfinity;
  for (const auto& [id, bias] : params_.logit_bias)
    changed[static_cast<size_t>(id)] += static_cast<float>(bias);
  Penalize(changed);
  return changed;
}

// Forbids the last token of each bad word whose other tokens are the latest generated tokens.
void Sampler::BanWords(std::span<float> logits) const {
  for (const std::vector<int32_t>& word : bad_words_) {
    const auto head = std::span(word).first(word.size() - 1);
    if (head.size() > generated_.size()) continue;
    if (std::ranges::equal(head, std::span(generated_).last(head.size())))
      logits[static_cast<size_t>(word.back())] = kMinusInfinity;
  }
}

void Sampler::Penalize(std::span<float> logits) const {
  const auto repetition = static_cast<float>(params_.repetition_penalty);
  const auto frequency = static_cast<float>(params_.frequency_penalty);
  const auto presence = static_cast<float>(params_.presence_penalty);
  const auto repeated = [&](float& logit) {
    logit = logit > 0 ? logit / repetition : logit * repetition;
  };
  if (repetition != 1) {
    for (const int32_t id : prompt_) repeated(logits[static_cast<size_t>(id)]);
  }
  for (const auto& [id, times, in_prompt] : seen_) {
    float& logit = logits[static_cast<size_t>(id)];
    if (!in_prompt) repeated(logit);
    logit -= frequency * static_cast<float>(times);
    logit -= presence;
  }
}

// Each of min_p, top_k and top_p keeps the most likely tokens, down to a last token that is still
// kept. Draw finds only this last token. Then Draw goes through the row in order of id. Therefore
// the token that a random number selects does not depend on how Draw found the last token.
int32_t Sampler::Draw(std::span<const float> logits, int32_t best) const {
  const float best_logit = logits[static_cast<size_t>(best)];
  if (!std::isfinite(best_logit)) return best;
  std::vector<Candidate>& kept = scratch.kept;
  Candidate last = kLast;
  if (params_.top_k > 0 && static_cast<uint64_t>(params_.top_k) < logits.size()) {
    Likeliest(logits, static_cast<size_t>(params_.top_k), &kept);
    last = *std::ranges::max_element(kept, Before);
  }
  if (params_.min_p > 0) {  // p ≥ min_p · p_max, as a bound on logits
    const float floor =
        RoundUp(static_cast<double>(best_logit) + std::log(params_.min_p) * params_.temperature);
    if (floor > last.logit) last = {floor, kLast.id};
  }

  kept.clear();
  double total = 0;
  float lowest = best_logit;
  const auto inverse = static_cast<float>(1 / params_.temperature);
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    std::array<float, kBlock> weights;
    for (size_t i = 0; i < block.size(); ++i)
      weights[i] = ExpOfNegative((block[i] - best_logit) * inverse);
    for (size_t i = 0; i < block.size(); ++i) {
      const Candidate candidate{block[i], static_cast<int32_t>(begin + i), weights[i]};
      if (!(candidate.logit >= last.logit) || Before(last, candidate)) continue;
      total += static_cast<double>(candidate.weight);
      lowest = std::min(lowest, candidate.logit);
      kept.push_back(candidate);
    }
  }
  if (params_.top_p < 1) {
    last = LastOfShare(kept, best_logit, lowest, params_.top_p * total);
    std::erase_if(kept, [&](const Candidate& x) { return Before(last, x); });
    total = 0;
    for (const Candidate& candidate : kept) total += static_cast<double>(candidate.weight);
  }
  double left = UniformAt(seed_, generated_.size()) * total;
  for (const Candidate& candidate : kept)
    if ((left -= static_cast<double>(candidate.weight)) < 0) return candidate.id;
  return best;  // only if rounding errors leave a remainder
}

int32_t Sampler::FallbackToken(std::span<const float> logits,
                               std::span<const uint32_t> mask) const {
  for (const std::span<const uint32_t> also : {std::span<const uint32_t>(allowed_), {}}) {
    int32_t best = -1;
    for (size_t id = 0; id < logits.size(); ++id) {
      if (!Has(mask, id) || !Has(also, id)) continue;
      if (best < 0 || logits[id] > logits[static_cast<size_t>(best)] ||
          (std::isnan(logits[static_cast<size_t>(best)]) && logits[id] > kMinusInfinity))
        best = static_cast<int32_t>(id);
    }
    if (best >= 0) return best;
  }
  return has_eos_ ? ends_.front() : 0;
}

std::vector<int32_t> DistinctIds(std::span<const int32_t> ids, int64_t vocab_size) {
  std::vector<int32_t> distinct;
  std::ranges::copy_if(ids, std::back_inserter(distinct),
                       [&](int32_t id) { return id >= 0 && id < vocab_size; });
  std::ranges::sort(distinct);
  distinct.erase(std::ranges::unique(distinct).begin(), distinct.end());
  return distinct;
}

Result<std::vector<std::vector<int32_t>>> EncodeBadWords(const Tokenizer& tokenizer,
                                                         std::span<const std::string> words,
                                                         int64_t vocab_size) {
  std::vector<std::vector<int32_t>> encoded;
  for (const std::string& word : words) {
    const std::string bare(strings::Strip(word, true, false));
    auto plain = tokenizer.Encode(bare), spaced = tokenizer.Encode(" " + bare);
    for (const auto* ids : {&plain, &spaced})
      if (!*ids) return WithinField("bad_words", ids->error());
    if (plain->empty())
      return FieldErr("bad_words", "expected words that have tokens, found '{}'", word);
    const bool differs = spaced->size() == plain->size() && spaced->front() != plain->front();
    encoded.push_back(std::move(*plain));
    if (differs) encoded.push_back(std::move(*spaced));
  }
  for (const std::vector<int32_t>& ids : encoded)
    for (const int32_t id : ids)
      if (id >= vocab_size)
        return FieldErr("bad_words", "expected words of tokens from 0 to {}, found token {}",
                        vocab_size - 1, id);
  return encoded;
}

PositionLogprobs TopLogprobs(std::span<const float> logits, int32_t token, int64_t k) {
  const double log_sum = LogSumExp(logits);
  const auto entry = [&](int32_t id, size_t rank) {
    const float logit = logits[static_cast<size_t>(id)];
    return TokenLogprob{id,
                        std::isnan(logit)
                            ? kMinusInfinity
                            : static_cast<float>(static_cast<double>(logit) - log_sum),
                        static_cast<int32_t>(rank)};
  };
  float own = logits[static_cast<size_t>(token)];
  if (std::isnan(own)) own = kMinusInfinity;
  size_t as_likely = 0;
  for (const float logit : logits) as_likely += logit >= own;
  const size_t count = k < 0 ? logits.size() : std::min(logits.size(), static_cast<size_t>(k));
  PositionLogprobs result;
  result.reserve(count + 1);
  result.push_back(entry(token, std::max<size_t>(as_likely, 1)));
  if (count == 0) return result;
  std::vector<Candidate>& list = scratch.kept;
  Likeliest(logits, count, &list);
  std::ranges::sort(list, Before);
  for (const Candidate& candidate : list) result.push_back(entry(candidate.id, result.size()));
  for (size_t id = 0; id < logits.size() && result.size() <= count; ++id)
    if (!(logits[id] > kMinusInfinity))
      result.push_back(entry(static_cast<int32_t>(id), result.size()));
  return result;
}

double LogProb(std::span<const float> logits, int32_t token) {
  return static_cast<double>(logits[static_cast<size_t>(token)]) - LogSumExp(logits);
}

}  // namespace merope

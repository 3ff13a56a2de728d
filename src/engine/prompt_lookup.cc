#include "engine/prompt_lookup.h"

#include <algorithm>

namespace merope {

namespace {

// Looks in `text` for the longest match of the end of `tokens`; if several matches are equally
// long, for the last of them. A match ends at position `last` at most. If the match is longer than
// *best, sets *best to its length and returns the tokens after the match. Otherwise returns
// nothing.
std::span<const int32_t> Following(std::span<const int32_t> tokens, std::span<const int32_t> text,
                                   int64_t last, int64_t* best) {
  const int64_t n = std::ssize(tokens);
  int64_t follows = 0;
  for (int64_t end = last; end > *best && *best < PromptLookup::kMaxMatch; --end) {
    const int64_t longest = std::min({PromptLookup::kMaxMatch, end, n});
    int64_t match = 0;
    while (match < longest && text.data()[end - 1 - match] == tokens.data()[n - 1 - match]) ++match;
    if (match <= *best) continue;
    *best = match;
    follows = end;
  }
  if (follows == 0) return {};
  return text.subspan(static_cast<size_t>(follows));
}

}  // namespace

void PromptLookup::Propose(std::span<const int32_t> tokens,
                           std::span<const std::vector<int32_t>> texts, int64_t room,
                           std::vector<int32_t>* draft) {
  draft->clear();
  if (pause_ > 0) {
    --pause_;
    return;
  }
  const int64_t n = std::ssize(tokens), wanted = std::min({length_, max_tokens_, room});
  if (wanted < 1) return;
  int64_t best = kMinMatch - 1;
  std::span<const int32_t> follows = Following(tokens, tokens, n - 1, &best);
  for (const std::vector<int32_t>& text : texts)
    if (const auto other = Following(tokens, text, std::ssize(text) - 1, &best); !other.empty())
      follows = other;
  follows = follows.first(std::min(follows.size(), static_cast<size_t>(wanted)));
  draft->assign(follows.begin(), follows.end());
}

void PromptLookup::Learn(int64_t verified, int64_t accepted) {
  if (accepted == verified) {
    length_ = std::min(2 * length_, max_tokens_);
  } else {
    length_ = std::max<int64_t>(accepted + 1, 2);
  }
  misses_ = accepted > 0 ? 0 : misses_ + 1;
  if (misses_ > 1) pause_ = std::min<int64_t>(int64_t{1} << misses_, 32);
}

}  // namespace merope

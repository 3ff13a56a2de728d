#include "engine/prompt_lookup.h"

#include <algorithm>

namespace merope {

void PromptLookup::Propose(std::span<const int32_t> tokens, int64_t room,
                           std::vector<int32_t>* draft) {
  draft->clear();
  if (pause_ > 0) {
    --pause_;
    return;
  }
  const int64_t n = std::ssize(tokens), wanted = std::min({length_, max_tokens_, room});
  if (wanted < 1) return;
  const int32_t* const data = tokens.data();
  int64_t best = kMinMatch - 1, follows = 0;
  for (int64_t end = n - 1; end > best && best < kMaxMatch; --end) {  // a match ends before `end`
    int64_t match = 0;
    while (match < kMaxMatch && match < end && data[end - 1 - match] == data[n - 1 - match])
      ++match;
    if (match <= best) continue;
    best = match;
    follows = end;
  }
  if (follows == 0) return;
  const int64_t count = std::min(wanted, n - follows);
  draft->assign(data + follows, data + follows + count);
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

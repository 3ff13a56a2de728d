// Speculation without a second model: what followed the last time that these tokens stood here is
// proposed to follow again (prompt lookup). Answers that quote their sources gain by it. One
// sequence's; the engine's thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace merope {

class PromptLookup {
 public:
  // At most max_tokens are proposed at once.
  explicit PromptLookup(int64_t max_tokens) : max_tokens_(max_tokens) {}

  // Proposes what may follow the tokens, at most `room` of it: what stands after the latest of the
  // longest earlier occurrences of their end. Nothing, where fewer than kMinMatch tokens agree.
  void Propose(std::span<const int32_t> tokens, int64_t room, std::vector<int32_t>* draft);

  // What became of the last proposal: that many tokens were verified, that many were right. The
  // next one is as long as the last ones were right, and none comes for a while after several that
  // were not.
  void Learn(int64_t verified, int64_t accepted);

  static constexpr int64_t kMinMatch = 3, kMaxMatch = 16;

 private:
  int64_t max_tokens_;
  int64_t length_ = 4;  // of the next proposal
  int64_t misses_ = 0;  // proposals in a row of which nothing was right
  int64_t pause_ = 0;   // calls of Propose that propose nothing
};

}  // namespace merope

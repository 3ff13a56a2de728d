// Prompt lookup is speculation without a second model. PromptLookup finds an earlier occurrence of
// the latest tokens and proposes the tokens that followed there. Answers that quote their sources
// gain from prompt lookup. Each sequence owns one PromptLookup. The engine's thread uses the
// PromptLookup.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace merope {

class PromptLookup {
 public:
  // max_tokens: the maximum number of tokens of one proposal.
  explicit PromptLookup(int64_t max_tokens) : max_tokens_(max_tokens) {}

  // Proposes tokens that may follow `tokens`, at most `room` of them. Propose looks for the longest
  // other occurrence of the end of `tokens`: in `tokens` (the latest such occurrence), or in one of
  // `texts` if the occurrence there is longer. The proposal is the tokens after that occurrence.
  // There is no proposal if fewer than kMinMatch tokens agree.
  void Propose(std::span<const int32_t> tokens, std::span<const std::vector<int32_t>> texts,
               int64_t room, std::vector<int32_t>* draft);

  // Reports on the last proposal: `verified` tokens were checked, and `accepted` of these were
  // right. The length of the next proposal depends on `accepted`. After two or more proposals in a
  // row without a right token, the next calls of Propose propose nothing.
  void Learn(int64_t verified, int64_t accepted);

  static constexpr int64_t kMinMatch = 3, kMaxMatch = 16;

 private:
  int64_t max_tokens_;
  int64_t length_ = 4;  // maximum number of tokens of the next proposal
  int64_t misses_ = 0;  // number of proposals in a row without a right token
  int64_t pause_ = 0;   // number of next calls of Propose that propose nothing
};

}  // namespace merope

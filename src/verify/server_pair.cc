#include "verify/server_pair.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace merope {
namespace {

// Sums over the tokens that both servers list.
struct PairSums {
  double squares = 0;
  int64_t tokens = 0;
};

void CompareRows(const TopTokens& first, const TopTokens& second, const std::string& prompt,
                 int64_t position, PairSums* sums, ServerPair* pair) {
  std::map<int32_t, double> listed;
  for (size_t i = 0; i < first.ids.size(); ++i) listed[first.ids[i]] = first.logprobs[i];
  std::vector<double> deltas;
  for (size_t i = 0; i < second.ids.size(); ++i)
    if (const auto it = listed.find(second.ids[i]); it != listed.end())
      deltas.push_back(second.logprobs[i] - it->second);
  ++pair->positions;
  double mean = 0;
  for (const double delta : deltas) mean += delta / static_cast<double>(deltas.size());
  for (const double delta : deltas) {
    sums->squares += (delta - mean) * (delta - mean);
    ++sums->tokens;
    if (std::abs(delta) <= pair->max_delta) continue;
    pair->max_delta = std::abs(delta);
    pair->worst_prompt = prompt;
    pair->worst_position = position;
  }
  // Rows are in descending order. A tie of the first server that has the second's choice is no
  // flip.
  if (first.ids.empty() || second.ids.empty()) return;
  const auto other = listed.find(second.ids.front());
  const double least = first.logprobs.back();
  const double gap = first.logprobs.front() - (other == listed.end() ? least : other->second);
  if (gap <= 0) return;
  ++pair->flips;
  pair->widest_flip = std::max(pair->widest_flip, gap);
}

}  // namespace

ServerPair CompareServers(const std::vector<VerifyPrompt>& prompts,
                          const std::vector<CompletionAnswer>& first,
                          const std::vector<CompletionAnswer>& second) {
  ServerPair pair;
  PairSums sums;
  pair.prompts = std::ssize(prompts);
  for (size_t p = 0; p < prompts.size(); ++p) {
    const CompletionAnswer &a = first[p], &b = second[p];
    const std::string& id = prompts[p].id;
    const auto asked = std::ssize(prompts[p].ids);
    for (size_t i = 0; i < std::min(a.prompt_top.size(), b.prompt_top.size()); ++i)
      CompareRows(a.prompt_top[i], b.prompt_top[i], id, static_cast<int64_t>(i), &sums, &pair);
    if (!a.tokens || !b.tokens) continue;
    pair.same_texts += *a.tokens == *b.tokens;
    for (size_t i = 0; i < std::min(a.top.size(), b.top.size()); ++i) {
      CompareRows(a.top[i], b.top[i], id, asked - 1 + static_cast<int64_t>(i), &sums, &pair);
      if ((*a.tokens)[i] != (*b.tokens)[i]) break;
    }
  }
  pair.sigma = sums.tokens > 0 ? std::sqrt(sums.squares / static_cast<double>(sums.tokens)) : 0;
  return pair;
}

}  // namespace merope

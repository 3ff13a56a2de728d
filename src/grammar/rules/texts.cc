#include "grammar/rules/texts.h"

#include <algorithm>
#include <string_view>

#include "base/utf8.h"

namespace merope {
namespace {

// The number of bytes that both texts share at their beginnings, in whole characters.
size_t Shared(std::string_view a, std::string_view b) {
  auto same = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  const auto inside = [&](std::string_view text) {
    return same < text.size() && utf8::IsContinuation(text[same]);
  };
  while (same > 0 && (inside(a) || inside(b))) --same;
  return same;
}

}  // namespace

void AddTexts(std::vector<std::string> texts, RuleId rule, Rules* rules) {
  std::ranges::sort(texts);
  texts.erase(std::ranges::unique(texts).begin(), texts.end());
  // The sorted texts [first, last). The rules before this node write their first `taken` bytes,
  // which all of these texts share.
  struct Node {
    RuleId rule;
    size_t first, last, taken;
  };
  std::vector<Node> pending = {{rule, 0, texts.size(), 0}};
  while (!pending.empty()) {
    Node node = pending.back();
    pending.pop_back();
    auto& alternatives = (*rules)[node.rule].alternatives;
    if (node.first < node.last && texts[node.first].size() == node.taken) {
      alternatives.emplace_back();
      ++node.first;
    }
    while (node.first < node.last) {
      const std::string& text = texts[node.first];
      size_t shared = text.size(), end = node.first + 1;
      for (; end < node.last; ++end) {
        const size_t here = Shared(text, texts[end]);
        if (here == node.taken) break;
        shared = std::min(shared, here);
      }
      Alternative alternative = {text.substr(node.taken, shared - node.taken)};
      if (end - node.first > 1) {
        const RuleId rest = rules->Add();
        alternative.emplace_back(rest);
        pending.push_back({rest, node.first, end, shared});
      }
      alternatives.push_back(std::move(alternative));
      node.first = end;
    }
  }
}

}  // namespace merope

#include "grammar/rules/regular_rules.h"

#include <algorithm>
#include <optional>

namespace merope {
namespace {

// Repetitions of more than kLong characters are written in blocks of kBlock characters. Measured
// with 49,152 tokens: each rule for one character of a JSON string takes 15 ms to prepare. Tokens
// that reach beyond a block are checked for each mask. The larger a block is, the fewer such tokens
// exist.
constexpr int64_t kLong = 128, kBlock = 32;

}  // namespace

void TextForm::AddPlainStep(const CharSet& set, RuleId next, Rule* rule) {
  rule->alternatives.push_back({set, next});
}

Result<RuleId> RegularRules::Add(Regular::Term term) {
  const RuleId start = RuleOf(term);
  while (!pending_.empty()) {
    const Regular::Term state = pending_.back();
    pending_.pop_back();
    const std::optional<Regular::Counted> counted = regular_.BeginsCounted(state);
    if (counted && std::max(counted->min, counted->max) > kLong) {
      rules_[known_[state]] = Blocks(*counted);
    } else {
      TRY_ASSIGN(rules_[known_[state]], Steps(state));
    }
  }
  return start;
}

RuleId RegularRules::RuleOf(Regular::Term state) {
  const auto [rule, is_new] = known_.try_emplace(state, 0);
  if (is_new) {
    rule->second = rules_.Add();
    pending_.push_back(state);
  }
  return rule->second;
}

Result<Rule> RegularRules::Steps(Regular::Term state) {
  Rule rule{.alternatives = {}, .follows = form_.follows};
  TRY_ASSIGN(const auto steps, regular_.Steps(state));
  for (const Regular::Step& step : steps) form_.add_step(step.set, RuleOf(step.next), &rule);
  if (regular_.HoldsEmpty(state)) rule.alternatives.push_back(form_.end);
  return rule;
}

Rule RegularRules::Blocks(const Regular::Counted& counted) {
  const auto& [set, min, max, after] = counted;
  const auto up_to = [&](int64_t count) {
    return RuleOf(regular_.Join(regular_.Repeat(regular_.Set(set), 0, count), after));
  };
  const RuleId block = Exactly(set, kBlock);
  RuleId rest = up_to(max == Regular::kUnbounded ? max : (max - min) % kBlock);
  if (max != Regular::kUnbounded && max - min >= kBlock) {
    const RuleId less = up_to(kBlock - 1);
    for (int64_t left = (max - min) / kBlock; left > 0; --left)
      rest = rules_.Add({{{block, rest}, {less}}});
  }
  Alternative all;
  if (min % kBlock > 0) all.emplace_back(Exactly(set, min % kBlock));
  for (int64_t left = min / kBlock; left > 0; --left) all.emplace_back(block);
  all.emplace_back(rest);
  return {{std::move(all)}};
}

RuleId RegularRules::Exactly(const CharSet& set, int64_t count) {
  RuleId rule = 0;
  for (int64_t i = 1; i <= count; ++i) {
    const RuleId less = rule;
    const auto [known, is_new] = exactly_.try_emplace({set, i}, 0);
    if (is_new) {
      known->second = rules_.Add();
      form_.add_step(set, less, &rules_[known->second]);
      if (i == 1)  // removes `less`: no rule follows the last character
        for (Alternative& alternative : rules_[known->second].alternatives) alternative.pop_back();
    }
    rule = known->second;
  }
  return rule;
}

}  // namespace merope

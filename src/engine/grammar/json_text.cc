#include "engine/grammar/json_text.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace merope {
namespace {

// In a string as they are: all but control characters, quotes and backslashes.
const CharSet& Plain() {
  static const CharSet plain =
      CharSet({{0x20, 0x10FFFF}}) - CharSet({{'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}});
  return plain;
}

// Strings of more characters are written in blocks of so many. Measured with 49,152 tokens: a rule
// a character takes 15 ms to prepare, and the larger a block is, the fewer tokens reach beyond it,
// which are looked at for each mask.
constexpr int64_t kLong = 128, kBlock = 32;

struct Escape {
  char32_t character, letter;
};
constexpr Escape kEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'\b', 'b'},
                               {'\f', 'f'}, {'\n', 'n'},  {'\r', 'r'}, {'\t', 't'}};

}  // namespace

RuleId JsonText::Space() {
  if (space_) return *space_;
  Rule rule;
  rule.alternatives = {{}, {" "}};
  for (const auto& [blank, most] : {std::pair(' ', 20), std::pair('\t', 8)}) {
    std::string line = "\n";
    for (int i = 0; i <= most; ++i, line += blank) rule.alternatives.push_back({line});
  }
  return *(space_ = rules_.Add(std::move(rule)));
}

RuleId JsonText::Value() {
  if (value_) return *value_;
  const RuleId value = *(value_ = rules_.Add());
  rules_[value].alternatives = {{"true"}, {"false"}, {"null"}};
  for (const RuleId part : {AnyString(), Number(), Object(), Array()}) {
    rules_[value].alternatives.push_back({part});
  }
  return value;
}

RuleId JsonText::Object() {
  if (object_) return *object_;
  const RuleId object = *(object_ = rules_.Add()), more = rules_.Add();
  const Alternative member = {AnyString(), ":", rules_.Add({{{}, {" "}}}), Value(), more};
  const auto after = [&](Alternative start) {
    start.insert(start.end(), member.begin(), member.end());
    return start;
  };
  rules_[object].alternatives = {after({"{", Space()}), {"{", Space(), "}"}};
  rules_[more].alternatives = {after({",", Space()}), {Space(), "}"}};
  return object;
}

RuleId JsonText::Array() {
  if (array_) return *array_;
  const RuleId array = *(array_ = rules_.Add()), more = rules_.Add();
  rules_[array].alternatives = {{"[", Space(), Value(), more}, {"[", Space(), "]"}};
  rules_[more].alternatives = {{",", Space(), Value(), more}, {Space(), "]"}};
  return array;
}

RuleId JsonText::AnyString() {
  if (string_) return *string_;
  const RuleId after = rules_.Add();
  rules_[after].follows = Follows::kJson;
  rules_[after].alternatives = {{"\""}};
  AddStep(CharSet::All(), after, &rules_[after]);
  return *(string_ = rules_.Add({{{"\"", after}}}));
}

void JsonText::AddStep(const CharSet& set, RuleId next, Rule* rule) {
  static const CharSet hex({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
  static const CharSet no_surrogate({{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}});
  static const CharSet d({{'D', 'D'}, {'d', 'd'}}), low({{'0', '7'}});
  static const CharSet first({{'8', '9'}, {'A', 'B'}, {'a', 'b'}}),
      second({{'C', 'F'}, {'c', 'f'}});
  if (const CharSet plain = set & Plain(); !plain.empty()) {
    rule->alternatives.push_back({plain, next});
  }
  std::vector<CharSet::Range> letters;
  for (const Escape& escape : kEscapes) {
    if (set.Contains(escape.character)) letters.push_back({escape.letter, escape.letter});
  }
  if (!letters.empty()) rule->alternatives.push_back({"\\", CharSet(std::move(letters)), next});
  if (set != CharSet::All()) return;
  rule->alternatives.push_back({"\\u", no_surrogate, hex, hex, hex, next});
  rule->alternatives.push_back({"\\u", d, low, hex, hex, next});
  rule->alternatives.push_back({"\\u", d, first, hex, hex, "\\u", d, second, hex, hex, next});
}

Result<RuleId> JsonText::String(Regular::Term value) {
  if (value == regular_.Not(Regular::kNothing)) return AnyString();
  if (const auto known = strings_.find(value); known != strings_.end()) return known->second;
  const auto counted = regular_.AsCounted(value);
  const bool is_long = counted && std::max(counted->min, counted->max) > kLong;
  TRY_ASSIGN(const RuleId after, is_long ? Blocks(*counted) : States(value, true));
  return strings_[value] = rules_.Add({{{"\"", after}}});
}

Result<RuleId> JsonText::Blocks(const Regular::Counted& counted) {
  const auto& [set, min, max] = counted;
  const auto up_to = [&](int64_t count) {
    return States(regular_.Repeat(regular_.Set(set), 0, count), true);
  };
  const RuleId block = Exactly(set, kBlock);
  TRY_ASSIGN(RuleId rest, up_to(max == Regular::kUnbounded ? max : (max - min) % kBlock));
  if (max != Regular::kUnbounded && max - min >= kBlock) {
    TRY_ASSIGN(const RuleId less, up_to(kBlock - 1));
    for (int64_t left = (max - min) / kBlock; left > 0; --left) {
      rest = rules_.Add({{{block, rest}, {less}}});
    }
  }
  Alternative all;
  if (min % kBlock > 0) all.emplace_back(Exactly(set, min % kBlock));
  for (int64_t left = min / kBlock; left > 0; --left) all.emplace_back(block);
  all.emplace_back(rest);
  return rules_.Add({{std::move(all)}});
}

RuleId JsonText::Exactly(const CharSet& set, int64_t count) {
  RuleId rule = 0;
  for (int64_t i = 1; i <= count; ++i) {
    const RuleId less = rule;
    const auto [known, is_new] = exactly_.try_emplace({set, i}, 0);
    if (is_new) {
      known->second = rules_.Add();
      AddStep(set, less, &rules_[known->second]);
      if (i == 1) {
        for (Alternative& alternative : rules_[known->second].alternatives) alternative.pop_back();
      }
    }
    rule = known->second;
  }
  return rule;
}

Result<RuleId> JsonText::Bare(Regular::Term text) { return States(text, false); }

Result<RuleId> JsonText::States(Regular::Term term, bool quoted) {
  auto& known = quoted ? after_quote_ : bare_;
  std::vector<Regular::Term> pending;
  const auto rule_of = [&](Regular::Term state) {
    const auto [rule, is_new] = known.try_emplace(state, 0);
    if (is_new) {
      rule->second = rules_.Add();
      pending.push_back(state);
    }
    return rule->second;
  };
  const RuleId start = rule_of(term);
  for (size_t done = 0; done < pending.size();) {
    const Regular::Term state = pending[done++];
    Rule rule{.alternatives = {}, .follows = Follows::kJson};
    TRY_ASSIGN(const auto steps, regular_.Steps(state));
    for (const Regular::Step& step : steps) {
      if (quoted) {
        AddStep(step.set, rule_of(step.next), &rule);
      } else {
        rule.alternatives.push_back({step.set, rule_of(step.next)});
      }
    }
    if (regular_.HoldsEmpty(state)) {
      rule.alternatives.push_back(quoted ? Alternative{"\""} : Alternative{});
    }
    rules_[known[state]] = std::move(rule);
  }
  return start;
}

RuleId JsonText::Number() {
  if (number_) return *number_;
  static const CharSet digit({{'0', '9'}}), first({{'1', '9'}}), e({{'E', 'E'}, {'e', 'e'}});
  static const CharSet sign({{'+', '+'}, {'-', '-'}});
  const auto digits = [&](int64_t min, int64_t max) {
    return regular_.Repeat(regular_.Set(digit), min, max);
  };
  // Digits enough for any double and 64-bit integer, and exponents that none overflows with.
  const Regular::Term whole =
      regular_.Either({regular_.Text("0"), regular_.Join(regular_.Set(first), digits(0, 18))});
  const Regular::Term fraction = regular_.Join(regular_.Text("."), digits(1, 15));
  const Regular::Term exponent =
      regular_.Join({regular_.Set(e), regular_.Optional(regular_.Set(sign)), digits(1, 2)});
  const auto rule = Bare(regular_.Join({regular_.Optional(regular_.Text("-")), whole,
                                        regular_.Optional(fraction), regular_.Optional(exponent)}));
  // Fails only where all work is spent: then whoever compiles asks for that, and the rule is not used.
  return *(number_ = rule ? *rule : rules_.Add());
}

}  // namespace merope

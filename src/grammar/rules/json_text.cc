#include "grammar/rules/json_text.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace merope {
namespace {

// The characters that stand in a string without an escape: all except ASCII control characters,
// quotes and backslashes.
const CharSet& Plain() {
  static const CharSet plain =
      CharSet({{0x20, 0x10FFFF}}) - CharSet({{'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}});
  return plain;
}

struct Escape {
  char32_t character, letter;
};
constexpr Escape kEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'\b', 'b'},
                               {'\f', 'f'}, {'\n', 'n'},  {'\r', 'r'}, {'\t', 't'}};

}  // namespace

JsonText::JsonText(Regular* regular, Rules* rules)
    : regular_(*regular),
      rules_(*rules),
      after_quote_(regular, rules, {.follows = Follows::kJson, .add_step = AddStep, .end = {"\""}}),
      bare_(regular, rules, {.follows = Follows::kJson}) {}

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
  TRY_ASSIGN(const RuleId after, after_quote_.Add(value));
  return strings_[value] = rules_.Add({{{"\"", after}}});
}

Result<RuleId> JsonText::Bare(Regular::Term text) { return bare_.Add(text); }

RuleId JsonText::Number() {
  if (number_) return *number_;
  static const CharSet digit({{'0', '9'}}), first({{'1', '9'}}), e({{'E', 'E'}, {'e', 'e'}});
  static const CharSet sign({{'+', '+'}, {'-', '-'}});
  const auto digits = [&](int64_t min, int64_t max) {
    return regular_.Repeat(regular_.Set(digit), min, max);
  };
  // Enough digits for the precision of a double and for a signed 64-bit integer. The exponent has
  // at most two digits, so that no number overflows.
  const Regular::Term whole =
      regular_.Either({regular_.Text("0"), regular_.Join(regular_.Set(first), digits(0, 18))});
  const Regular::Term fraction = regular_.Join(regular_.Text("."), digits(1, 15));
  const Regular::Term exponent =
      regular_.Join({regular_.Set(e), regular_.Optional(regular_.Set(sign)), digits(1, 2)});
  const auto rule = Bare(regular_.Join({regular_.Optional(regular_.Text("-")), whole,
                                        regular_.Optional(fraction), regular_.Optional(exponent)}));
  // Bare fails only if the work is spent. In that case, the code that compiles the grammar finds
  // this with CompileWork::Check and does not use the rule.
  return *(number_ = rule ? *rule : rules_.Add());
}

}  // namespace merope

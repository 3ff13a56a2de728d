#include "grammar/rules/regular.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace merope {
namespace {

// Limits of an automaton, which may be exponentially larger than its term. A language past these
// limits is refused.
constexpr size_t kMaxStates = 4096;
constexpr size_t kMaxSize = 1 << 20;

// The coarsest partition of all characters such that each of the sets is a union of parts.
std::vector<CharSet> Partition(const std::vector<CharSet>& sets, CompileWork* work) {
  std::vector<char32_t> borders = {0, 0x110000};
  for (const CharSet& set : sets) {
    for (const CharSet::Range& range : set.ranges()) {
      borders.push_back(range.first);
      borders.push_back(range.last + 1);
    }
  }
  std::ranges::sort(borders);
  borders.erase(std::ranges::unique(borders).begin(), borders.end());
  if (!work->Spend(std::ssize(borders) * (1 + std::ssize(sets)))) return {};
  std::map<std::vector<bool>, std::vector<CharSet::Range>> classes;
  for (size_t i = 0; i + 1 < borders.size(); ++i) {
    std::vector<bool> in(sets.size());
    for (size_t j = 0; j < sets.size(); ++j) in[j] = sets[j].Contains(borders[i]);
    classes[in].push_back({borders[i], borders[i + 1] - 1});
  }
  std::vector<CharSet> partition;
  for (auto& [in, ranges] : classes) {
    CharSet set(std::move(ranges));
    if (!set.empty()) partition.push_back(std::move(set));
  }
  return partition;
}

}  // namespace

Regular::Regular() {
  nodes_.push_back({.kind = Kind::kNothing});
  nodes_.push_back({.kind = Kind::kEmpty, .holds_empty = true});
}

Regular::Term Regular::Make(Node node) {
  for (size_t i = 0; i < node.parts.size(); ++i) {
    const bool goes_on = node.kind == Kind::kJoin && i > 0;
    node.depth = std::max(node.depth, At(node.parts[i]).depth + (goes_on ? 0 : 1));
  }
  if (node.depth > CompileWork::kMostDepth) work_.SpendAll();
  if (!work_.Spend(4 + std::ssize(node.parts))) return kNothing;
  const auto [known, is_new] = known_.try_emplace(node, static_cast<Term>(nodes_.size()));
  if (is_new) {
    work_.Spend(16);  // for the memory of the node
    size_ += 1 + node.parts.size();
    nodes_.push_back(std::move(node));
  }
  return known->second;
}

Regular::Term Regular::Set(const CharSet& set) {
  if (set.empty()) return kNothing;
  work_.Spend(std::ssize(set.ranges()));
  const auto [place, is_new] = set_places_.try_emplace(set, std::ssize(sets_));
  if (is_new) sets_.push_back(set);
  return Make({.kind = Kind::kSet, .a = place->second});
}

Regular::Term Regular::Text(std::string_view utf8) {
  std::vector<char32_t> characters;
  for (size_t at = 0; at < utf8.size();) characters.push_back(utf8::Next(utf8, &at));
  Term term = kEmpty;
  while (!characters.empty()) {
    term = Join(Set(CharSet::One(characters.back())), term);
    characters.pop_back();
  }
  return term;
}

Regular::Term Regular::Join(Term first, Term second) {
  if (first == kNothing || second == kNothing) return kNothing;
  if (first == kEmpty) return second;
  if (second == kEmpty) return first;
  std::vector<Term> parts;  // no part is a join
  for (; At(first).kind == Kind::kJoin; first = At(first).parts[1]) {
    parts.push_back(At(first).parts[0]);
  }
  parts.push_back(first);
  for (; !parts.empty(); parts.pop_back()) {
    second = Make({.kind = Kind::kJoin,
                   .holds_empty = HoldsEmpty(parts.back()) && HoldsEmpty(second),
                   .parts = {parts.back(), second}});
  }
  return second;
}

Regular::Term Regular::Join(std::initializer_list<Term> parts) {
  Term term = kEmpty;
  for (size_t i = parts.size(); i > 0; --i) term = Join(std::data(parts)[i - 1], term);
  return term;
}

Regular::Term Regular::Either(std::vector<Term> terms) {
  std::vector<Term> parts;
  std::vector<CharSet::Range> ranges;
  const auto add_set = [&](const Node& node) {
    const auto& more = sets_[static_cast<size_t>(node.a)].ranges();
    work_.Spend(std::ssize(more));
    ranges.insert(ranges.end(), more.begin(), more.end());
  };
  const Term everything = Not(kNothing);
  for (const Term term : terms) {
    const Node& node = At(term);
    if (!work_.Spend(1 + std::ssize(node.parts))) return kNothing;
    if (term == everything) return everything;
    if (node.kind == Kind::kSet) {
      add_set(node);
    } else if (node.kind == Kind::kEither) {
      for (const Term part : node.parts) {
        if (At(part).kind == Kind::kSet) {
          add_set(At(part));
        } else {
          parts.push_back(part);
        }
      }
    } else if (term != kNothing) {
      parts.push_back(term);
    }
  }
  if (!ranges.empty()) parts.push_back(Set(CharSet(std::move(ranges))));
  std::ranges::sort(parts);
  parts.erase(std::ranges::unique(parts).begin(), parts.end());
  if (parts.empty()) return kNothing;
  if (parts.size() == 1) return parts[0];
  const bool holds_empty = std::ranges::any_of(parts, [&](Term part) { return HoldsEmpty(part); });
  return Make({.kind = Kind::kEither, .holds_empty = holds_empty, .parts = std::move(parts)});
}

Regular::Term Regular::Both(Term a, Term b) {
  const Term everything = Not(kNothing);
  if (a == kNothing || b == kNothing) return kNothing;
  if (a == b || b == everything) return a;
  if (a == everything) return b;
  if (At(a).kind == Kind::kSet && At(b).kind == Kind::kSet) {
    return Set(sets_[static_cast<size_t>(At(a).a)] & sets_[static_cast<size_t>(At(b).a)]);
  }
  return Make({.kind = Kind::kBoth,
               .holds_empty = HoldsEmpty(a) && HoldsEmpty(b),
               .parts = {std::min(a, b), std::max(a, b)}});
}

Regular::Term Regular::Not(Term term) {
  if (At(term).kind == Kind::kNot) return At(term).parts[0];
  return Make({.kind = Kind::kNot, .holds_empty = !HoldsEmpty(term), .parts = {term}});
}

Regular::Term Regular::Repeat(Term term, int64_t min, int64_t max) {
  if (max == 0 || term == kEmpty) return kEmpty;
  if (term == kNothing) return min == 0 ? kEmpty : kNothing;
  if (min == 1 && max == 1) return term;
  const Node& node = At(term);
  if (min <= 1 && max == kUnbounded && node.kind == Kind::kRepeat && node.a == 0 &&
      node.b == kUnbounded) {
    return term;
  }
  if (HoldsEmpty(term)) min = 0;
  return Make(
      {.kind = Kind::kRepeat, .holds_empty = min == 0, .parts = {term}, .a = min, .b = max});
}

Regular::Term Regular::Multiple(int64_t divisor, int64_t remainder) {
  return Make(
      {.kind = Kind::kMultiple, .holds_empty = remainder == 0, .a = divisor, .b = remainder});
}

Regular::Term Regular::Derive(Term term, char32_t c) {
  const Node node = At(term);  // a copy: the nodes may move
  if (!work_.Spend(2 + std::ssize(node.parts))) return kNothing;
  switch (node.kind) {
    case Kind::kNothing:
    case Kind::kEmpty:
      return kNothing;
    case Kind::kSet:
      return sets_[static_cast<size_t>(node.a)].Contains(c) ? kEmpty : kNothing;
    case Kind::kJoin: {
      // The text may begin in a part if all parts before it may be empty.
      std::vector<Term> begun;
      for (; At(term).kind == Kind::kJoin && !work_.spent(); term = At(term).parts[1]) {
        const Term part = At(term).parts[0], rest = At(term).parts[1];
        begun.push_back(Join(Derive(part, c), rest));
        if (!HoldsEmpty(part)) return Either(std::move(begun));
      }
      begun.push_back(Derive(term, c));
      return Either(std::move(begun));
    }
    case Kind::kEither: {
      std::vector<Term> parts;
      for (const Term part : node.parts) parts.push_back(Derive(part, c));
      return Either(std::move(parts));
    }
    case Kind::kBoth:
      return Both(Derive(node.parts[0], c), Derive(node.parts[1], c));
    case Kind::kNot:
      return Not(Derive(node.parts[0], c));
    case Kind::kRepeat:
      return Join(Derive(node.parts[0], c), Repeat(node.parts[0], std::max<int64_t>(node.a - 1, 0),
                                                   node.b == kUnbounded ? kUnbounded : node.b - 1));
    case Kind::kMultiple:
      return c >= '0' && c <= '9' ? Multiple(node.a, (10 * node.b + (c - '0')) % node.a) : kNothing;
  }
  return kNothing;
}

void Regular::FirstSets(Term term, std::vector<CharSet>* sets) {
  while (work_.Spend()) {
    const Node& node = At(term);
    if (node.kind == Kind::kSet) {
      work_.Spend(std::ssize(sets_[static_cast<size_t>(node.a)].ranges()));
      sets->push_back(sets_[static_cast<size_t>(node.a)]);
    }
    if (node.kind == Kind::kMultiple) {
      for (char32_t digit = '0'; digit <= '9'; ++digit) sets->push_back(CharSet::One(digit));
    }
    if (node.kind != Kind::kJoin) {
      for (const Term part : node.parts) FirstSets(part, sets);
      return;
    }
    FirstSets(node.parts[0], sets);
    if (!HoldsEmpty(node.parts[0])) return;
    term = node.parts[1];
  }
}

Status Regular::Expand(Term term) {
  std::vector<CharSet> sets;
  FirstSets(term, &sets);
  std::ranges::sort(sets);
  sets.erase(std::ranges::unique(sets).begin(), sets.end());
  std::map<Term, std::vector<CharSet::Range>> by_next;
  for (const CharSet& set : Partition(sets, &work_)) {
    const Term next = Derive(term, set.ranges().front().first);
    if (next == kNothing) continue;
    work_.Spend(std::ssize(set.ranges()));
    std::ranges::copy(set.ranges(), std::back_inserter(by_next[next]));
  }
  TRY(work_.Check());
  std::vector<Step>& steps = steps_[term];
  for (auto& [next, ranges] : by_next) steps.push_back({CharSet(std::move(ranges)), next});
  if (steps_.size() > kMaxStates || size_ > kMaxSize) {
    return Err("too large: its automaton has more than {} states", kMaxStates);
  }
  return {};
}

Result<bool> Regular::HasText(Term term) {
  // pending: all states that can be reached and are not decided yet. before: for each state, the
  // states that lead to it.
  std::vector<Term> pending = {term}, decided;
  std::map<Term, std::vector<Term>> before;
  for (size_t i = 0; i < pending.size(); ++i) {
    const Term state = pending[i];
    if (has_text_.contains(state)) {
      if (has_text_[state]) decided.push_back(state);
      continue;
    }
    if (HoldsEmpty(state)) decided.push_back(state);
    if (!steps_.contains(state)) TRY(Expand(state));
    for (const Step& step : steps_[state]) {
      auto& sources = before[step.next];
      if (sources.empty()) pending.push_back(step.next);
      sources.push_back(state);
    }
  }
  for (const Term state : pending) has_text_.try_emplace(state, false);
  for (const Term state : decided) has_text_[state] = true;
  for (size_t i = 0; i < decided.size(); ++i) {
    for (const Term source : before[decided[i]]) {
      if (std::exchange(has_text_[source], true)) continue;
      decided.push_back(source);
    }
  }
  return has_text_[term];
}

Result<std::vector<Regular::Step>> Regular::Steps(Term term) {
  TRY_ASSIGN(const bool any, HasText(term));  // also decides all states that follow
  std::vector<Step> steps;
  if (!any) return steps;
  for (const Step& step : steps_[term]) {
    if (has_text_[step.next]) steps.push_back(step);
  }
  return steps;
}

std::optional<Regular::Counted> Regular::BeginsCounted(Term term) const {
  const bool joined = At(term).kind == Kind::kJoin;
  const Node& node = joined ? At(At(term).parts[0]) : At(term);
  if (node.kind != Kind::kRepeat || At(node.parts[0]).kind != Kind::kSet) return std::nullopt;
  return Counted{sets_[static_cast<size_t>(At(node.parts[0]).a)], node.a, node.b,
                 joined ? At(term).parts[1] : kEmpty};
}

bool Regular::Holds(Term term, std::string_view utf8) {
  for (size_t at = 0; at < utf8.size() && term != kNothing;) {
    term = Derive(term, utf8::Next(utf8, &at));
  }
  return HoldsEmpty(term);
}

}  // namespace merope

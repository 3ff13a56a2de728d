#include "grammar/rules/json_object.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/json.h"

namespace merope {
namespace {

constexpr size_t kMaxObjectStates = 16384;
constexpr int64_t kMaxObjectSize = 1 << 16;

// The position in an object. next: the index of the next known property. any: whether the object
// has a property so far. other: whether the object has one of the other properties so far. counted:
// the number of properties so far that count for min, but at most min. all: the number of
// properties so far; always 0 if there is no max.
struct State {
  size_t next = 0;
  bool any = false, other = false;
  int64_t counted = 0, all = 0;
  auto operator<=>(const State&) const = default;
};

class ObjectWriter {
 public:
  ObjectWriter(const ObjectShape& shape, JsonText* text, Rules* rules)
      : shape_(shape), text_(*text), rules_(*rules), blank_(rules->Add({{{}, {" "}}})) {
    for (const ObjectShape::Known& known : shape.known) {
      values_.push_back(rules_.Add({{{JsonString(known.name) + ":", blank_, known.value}}}));
    }
    if (shape.others.empty()) return;
    other_ = rules_.Add();
    for (const ObjectShape::Other& other : shape.others) {
      rules_[*other_].alternatives.push_back({other.name, ":", blank_, other.value});
    }
  }

  Status Write(RuleId rule) {
    rules_[rule].alternatives.push_back({"{", RuleOf({})});
    for (size_t done = 0; done < pending_.size();) {
      const auto [state, own] = pending_[done++];
      if (pending_.size() > kMaxObjectStates) return Err("minProperties, maxProperties: too large");
      // One rule lists every member that may come next. A chain of rules that may be empty would
      // take a parser cubic time.
      const RuleId members = rules_.Add();
      State at = state;
      for (; at.next < shape_.known.size(); ++at.next) {
        State after = at;
        ++after.next;
        CountMember(&after, true);
        if (MayBe(after)) TRY(AddMember(members, values_[at.next], after));
        if (shape_.known[at.next].required) break;
      }
      if (at.next == shape_.known.size()) {
        State after = at;
        CountMember(&after, !std::exchange(after.other, true));
        if (other_ && MayBe(after)) TRY(AddMember(members, *other_, after));
        if (state.counted >= shape_.min) {
          rules_[own].alternatives.push_back({text_.Space(), "}"});
        }
      }
      Alternative more = {text_.Space(), members};
      if (state.any) more.insert(more.begin(), ",");
      rules_[own].alternatives.push_back(std::move(more));
    }
    return {};
  }

 private:
  static std::string JsonString(const std::string& name) { return Json(name).dump(); }

  void CountMember(State* state, bool counts) const {
    state->any = true;
    if (counts) state->counted = std::min(state->counted + 1, shape_.min);
    if (shape_.max) ++state->all;
  }
  bool MayBe(const State& state) const { return !shape_.max || state.all <= *shape_.max; }
  Status AddMember(RuleId members, RuleId member, const State& after) {
    if (++n_members_ > kMaxObjectSize) {
      return Err(
          "properties: too many that may be left out one after the other: more than {} ways "
          "from one to the next",
          kMaxObjectSize);
    }
    rules_[members].alternatives.push_back({member, RuleOf(after)});
    return {};
  }
  RuleId RuleOf(const State& state) {
    const auto [known, is_new] = known_.try_emplace(state, 0);
    if (is_new) {
      known->second = rules_.Add();
      pending_.emplace_back(state, known->second);
    }
    return known->second;
  }

  const ObjectShape& shape_;
  JsonText& text_;
  Rules& rules_;
  RuleId blank_;
  std::vector<RuleId> values_;
  std::optional<RuleId> other_;
  int64_t n_members_ = 0;
  std::map<State, RuleId> known_;
  std::vector<std::pair<State, RuleId>> pending_;
};

}  // namespace

Status AddObject(const ObjectShape& shape, JsonText* text, Rules* rules, RuleId rule) {
  return ObjectWriter(shape, text, rules).Write(rule);
}

}  // namespace merope

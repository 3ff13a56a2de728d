// Regular languages over characters, as terms. Terms can be joined, intersected and complemented.
// The deterministic automaton of a term comes from Brzozowski's derivatives: the rest of a language
// after one character is again a term, and equal terms are one state. The code that compiles a
// grammar owns the terms and uses them on its own thread. After the work of the terms is spent,
// every new term is kNothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "grammar/rules/char_set.h"
#include "grammar/rules/work.h"

namespace merope {

class Regular {
 public:
  using Term = int32_t;
  static constexpr Term kNothing = 0;  // no text
  static constexpr Term kEmpty = 1;    // the empty text
  static constexpr int64_t kUnbounded = -1;

  Regular();
  CompileWork& work() { return work_; }
  Term Set(const CharSet& set);  // one character of the set
  Term Text(std::string_view utf8);
  Term Join(Term first, Term second);
  Term Join(std::initializer_list<Term> parts);
  Term Either(std::vector<Term> terms);
  Term Both(Term a, Term b);
  Term Not(Term term);
  Term Repeat(Term term, int64_t min, int64_t max);
  Term Optional(Term term) { return Either({kEmpty, term}); }
  // A text of decimal digits that continues a number. The digits before the text have the given
  // remainder, and the whole number is a multiple of divisor.
  Term Multiple(int64_t divisor, int64_t remainder = 0);

  bool HoldsEmpty(Term term) const { return At(term).holds_empty; }
  bool Holds(Term term, std::string_view utf8);
  // The automaton. Its states are terms. A character after which no text remains has no step.
  // Errors: the automaton grows past its limits, or the work is spent.
  struct Step {
    CharSet set;
    Term next = kNothing;
  };
  Result<std::vector<Step>> Steps(Term term);
  Result<bool> HasText(Term term);
  // A term that begins with min to max characters of one set. max may be kUnbounded.
  struct Counted {
    CharSet set;
    int64_t min = 0, max = 0;
    Term after = kEmpty;
  };
  std::optional<Counted> BeginsCounted(Term term) const;

 private:
  enum class Kind : uint8_t {
    kNothing,
    kEmpty,
    kSet,
    kJoin,
    kEither,
    kBoth,
    kNot,
    kRepeat,
    kMultiple
  };
  struct Node {
    Kind kind = Kind::kNothing;
    bool holds_empty = false;
    std::vector<Term> parts = {};
    int64_t a = 0, b = 0;  // set: its index; repetition: its bounds; divisor, remainder
    int64_t depth = 0;     // nesting; the later parts of a join add nothing
    auto Key() const { return std::tie(kind, parts, a, b); }
    bool operator<(const Node& other) const { return Key() < other.Key(); }
  };
  const Node& At(Term term) const { return nodes_[static_cast<size_t>(term)]; }
  Term Make(Node node);
  Term Derive(Term term, char32_t c);
  // Appends the sets that distinguish the characters with which a text may begin.
  void FirstSets(Term term, std::vector<CharSet>* sets);
  // Finds the steps to all states, including states that match no text.
  Status Expand(Term term);

  CompileWork work_;
  std::vector<Node> nodes_;
  std::map<Node, Term> known_;
  std::vector<CharSet> sets_;
  std::map<CharSet, int64_t> set_places_;
  size_t size_ = 0;  // nodes and parts of nodes
  std::map<Term, std::vector<Step>> steps_;
  std::map<Term, bool> has_text_;
};

}  // namespace merope

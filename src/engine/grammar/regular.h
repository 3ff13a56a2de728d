// Regular languages over characters, as terms that are built up, intersected and complemented, and
// the deterministic automaton of one, by Brzozowski's derivatives: what of a language is left
// after a character is again a term, and equal terms are one state. Whoever compiles a grammar owns
// the terms, on its own thread. Once its work is spent, every term that is made is kNothing.
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
#include "engine/grammar/char_set.h"
#include "engine/grammar/work.h"

namespace merope {

class Regular {
 public:
  using Term = int32_t;
  static constexpr Term kNothing = 0;  // no text
  static constexpr Term kEmpty = 1;    // the empty text
  static constexpr int64_t kUnbounded = -1;

  Regular();
  CompileWork& work() { return work_; }
  Term Set(const CharSet& set);  // one character of it
  Term Text(std::string_view utf8);
  Term Join(Term first, Term second);
  Term Join(std::initializer_list<Term> parts);
  Term Either(std::vector<Term> terms);
  Term Both(Term a, Term b);
  Term Not(Term term);
  Term Repeat(Term term, int64_t min, int64_t max);
  Term Optional(Term term) { return Either({kEmpty, term}); }
  // Decimal digits whose number is a multiple of divisor, after those of a number with the given
  // remainder.
  Term Multiple(int64_t divisor, int64_t remainder = 0);

  bool HoldsEmpty(Term term) const { return At(term).holds_empty; }
  bool Holds(Term term, std::string_view utf8);
  // The automaton: its states are terms. Characters after which no text remains have no step.
  // Errors: it grows past its bounds, or the work is spent.
  struct Step {
    CharSet set;
    Term next = kNothing;
  };
  Result<std::vector<Step>> Steps(Term term);
  Result<bool> HasText(Term term);
  // A term that begins with one set of characters, so many times; max may be kUnbounded.
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
    int64_t a = 0, b = 0;  // of a set its index; of a repetition its bounds; divisor, remainder
    int64_t depth = 0;     // of terms in it, what is joined to its first part not counted
    auto Key() const { return std::tie(kind, parts, a, b); }
    bool operator<(const Node& other) const { return Key() < other.Key(); }
  };
  const Node& At(Term term) const { return nodes_[static_cast<size_t>(term)]; }
  Term Make(Node node);
  Term Derive(Term term, char32_t c);
  // The sets that tell apart the characters that a text may begin with.
  void FirstSets(Term term, std::vector<CharSet>* sets);
  // Steps to all states, those without texts, too.
  Status Expand(Term term);

  CompileWork work_;
  std::vector<Node> nodes_;
  std::map<Node, Term> known_;
  std::vector<CharSet> sets_;
  std::map<CharSet, int64_t> set_places_;
  size_t size_ = 0;  // of all nodes
  std::map<Term, std::vector<Step>> steps_;
  std::map<Term, bool> has_text_;
};

}  // namespace merope

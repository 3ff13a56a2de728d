#include "grammar/rules/regex.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "grammar/rules/character_classes.h"

namespace merope {
namespace {

constexpr int kMaxGroupDepth = 100;
constexpr int64_t kMaxRepeat = 4096;

struct Flags {
  bool dot_all = false, ascii = false, ignore_case = false;
};

class RegexParser {
 public:
  RegexParser(std::string_view text, bool search, Regular* regular)
      : search_(search), regular_(*regular) {
    for (size_t at = 0; at < text.size();) text_.push_back(utf8::Next(text, &at));
  }

  Result<Regular::Term> Parse() {
    TRY_ASSIGN(const Piece piece, Alternatives(true, 0));
    if (at_ < text_.size()) return Fail("unbalanced ')'");
    TRY(regular_.work().Check());
    return piece.term;
  }

 private:
  // Part of an expression. anchored: the part has a ^ or $. ended: the part has a $, so nothing may
  // follow.
  struct Piece {
    Regular::Term term = Regular::kEmpty;
    bool anchored = false, ended = false;
  };
  // it: the characters that an escape, or one member of a class, matches. not_it: the characters
  // that surely do not match.
  struct Item {
    CharSet it, not_it;
    std::optional<char32_t> character = {};
  };

  template <class... Args>
  std::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) const {
    return Err("at {}: {}", at_, fmt::format(format, std::forward<Args>(args)...));
  }
  bool Next(std::u32string_view what) {
    if (std::u32string_view(text_).substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }
  bool Peek(std::u32string_view what) const {
    return std::u32string_view(text_).substr(at_, what.size()) == what;
  }

  // Parses alternatives up to the end of the text, or up to the ')' of the group around them.
  Result<Piece> Alternatives(bool at_start, int depth) {
    if (depth > kMaxGroupDepth)
      return Fail("more than {} groups inside each other", kMaxGroupDepth);
    const Regular::Term anything = regular_.Not(Regular::kNothing);
    std::vector<Regular::Term> terms;
    Piece all;
    do {
      const bool search = search_ && depth == 0;
      const bool begins = Peek(U"^") || Peek(U"\\A");
      TRY_ASSIGN(Piece piece, Sequence(at_start, depth));
      if (search && !begins) piece.term = regular_.Join(anything, piece.term);
      if (search && !piece.ended) piece.term = regular_.Join(piece.term, anything);
      terms.push_back(piece.term);
      all.anchored |= piece.anchored;
      all.ended |= piece.ended;
    } while (Next(U"|"));
    all.term = regular_.Either(std::move(terms));
    return all;
  }

  Result<Piece> Sequence(bool at_start, int depth) {
    std::vector<Regular::Term> terms;
    Piece all;
    while (at_ < text_.size() && !Peek(U"|") && !Peek(U")")) {
      if (all.ended) return Fail("'$' is supported only at the end");
      if (Peek(U"^") || Peek(U"\\A")) {
        if (!at_start || !terms.empty()) return Fail("'^' is supported only at the beginning");
        if (search_ && depth > 0) return Fail("'^' inside a group is not supported");
        at_ += Peek(U"^") ? 1 : 2;
        all.anchored = true;
      } else if (Peek(U"$") || Peek(U"\\Z")) {
        if (search_ && depth > 0) return Fail("'$' inside a group is not supported");
        at_ += Peek(U"$") ? 1 : 2;
        all.anchored = all.ended = true;
      } else {
        TRY_ASSIGN(const Piece piece, Quantified(at_start && terms.empty(), depth));
        if (piece.term != Regular::kEmpty) terms.push_back(piece.term);
        all.anchored |= piece.anchored;
        all.ended |= piece.ended;
      }
    }
    while (!terms.empty()) {
      all.term = regular_.Join(terms.back(), all.term);
      terms.pop_back();
    }
    return all;
  }

  Result<Piece> Quantified(bool at_start, int depth) {
    TRY_ASSIGN(Piece piece, Atom(at_start, depth));
    int64_t min = 0, max = Regular::kUnbounded;
    if (Next(U"*")) {
    } else if (Next(U"+")) {
      min = 1;
    } else if (Next(U"?")) {
      max = 1;
    } else {
      TRY_ASSIGN(const bool counted, Counts(&min, &max));
      if (!counted) return piece;
    }
    if (piece.anchored) return Fail("a repeated '^' or '$' is not supported");
    Next(U"?");  // lazy: matches the same texts
    if (Peek(U"+")) return Fail("a possessive quantifier is not supported");
    if (Peek(U"*") || Peek(U"?")) return Fail("a quantifier after a quantifier");
    piece.term = regular_.Repeat(piece.term, min, max);
    return piece;
  }

  // Parses {3}, {3,}, {,3} or {3,4}. Any other text in braces stands for itself; then the result is
  // false.
  Result<bool> Counts(int64_t* min, int64_t* max) {
    const size_t start = at_;
    const auto number = [&](int64_t* value) {
      bool any = false;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_, any = true) {
        *value = std::min((any ? *value : 0) * 10 + (text_[at_] - '0'), kMaxRepeat + 1);
      }
      return any;
    };
    if (!Next(U"{")) return false;
    const bool has_min = number(min);
    bool is_count = has_min;
    if (Next(U",")) {
      is_count = true;
      number(max);
    } else {
      *max = *min;
    }
    if (!is_count || !Next(U"}")) {
      at_ = start;
      return false;
    }
    if (*min > kMaxRepeat || *max > kMaxRepeat) {
      return Fail("a repetition of more than {}", kMaxRepeat);
    }
    if (*max != Regular::kUnbounded && *min > *max)
      return Fail("a repetition of {} to {}", *min, *max);
    return true;
  }

  Result<Piece> Atom(bool at_start, int depth) {
    if (Peek(U"*") || Peek(U"+") || Peek(U"?")) return Fail("nothing to repeat");
    if (Peek(U"(")) return Group(at_start, depth);
    if (Next(U".")) {
      static const CharSet line_ends({{'\n', '\n'}});
      static const CharSet all_line_ends({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}});
      if (flags_.dot_all) return Piece{regular_.Set(CharSet::All())};
      return Piece{regular_.Set(CharSet::All() - (search_ ? all_line_ends : line_ends))};
    }
    if (Peek(U"[")) {
      TRY_ASSIGN(const CharSet set, Class());
      return Piece{regular_.Set(set)};
    }
    TRY_ASSIGN(const Item item, Member());
    return Piece{regular_.Set(item.it)};
  }

  Result<Piece> Group(bool at_start, int depth) {
    const Flags outer = flags_;
    const size_t start = at_++;
    if (Next(U"?")) {
      if (Next(U"#")) {
        while (at_ < text_.size() && text_[at_] != ')') ++at_;
        if (!Next(U")")) return Fail("a comment without end");
        return Piece{};
      }
      if (Peek(U"=") || Peek(U"!")) return Fail("a lookahead is not supported");
      if (Peek(U"<=") || Peek(U"<!")) return Fail("a lookbehind is not supported");
      if (Peek(U">")) return Fail("an atomic group is not supported");
      if (Peek(U"(")) return Fail("a conditional group is not supported");
      if (Peek(U"P=")) return Fail("a backreference is not supported");
      if (Next(U"P<") || (search_ && Next(U"<"))) {
        while (at_ < text_.size() && (text_[at_] == '_' || IsWordCharacter(text_[at_]))) ++at_;
        if (!Next(U">")) return Fail("a group's name without end");
      } else if (!Next(U":")) {
        TRY_ASSIGN(const bool scoped, ParseFlags());
        if (!scoped) {
          if (start != 0) return Fail("flags are supported only at the beginning");
          return Piece{};
        }
      }
    }
    TRY_ASSIGN(const Piece piece, Alternatives(at_start, depth + 1));
    if (!Next(U")")) return Fail("a group without end, from {}", start);
    flags_ = outer;
    return piece;
  }

  // Parses the flags of (?s) and (?s:…), from after the question mark. True if a group follows.
  Result<bool> ParseFlags() {
    for (bool on = true; !Next(U")"); ++at_) {
      if (Next(U":")) return true;
      const char32_t c = at_ < text_.size() ? text_[at_] : 0;
      if (c == '-') {
        on = false;
      } else if (c == 's') {
        flags_.dot_all = on;
      } else if (c == 'a') {
        flags_.ascii = on;
      } else if (c == 'i') {
        flags_.ignore_case = on;
      } else if (c != 'u') {
        std::string flag;
        if (c != 0) utf8::Append(c, &flag);
        return Fail("flag '{}': expected a, i, s or u", flag);
      }
    }
    return false;
  }

  Result<CharSet> Class() {
    ++at_;
    const bool negated = Next(U"^");
    CharSet set, not_set = CharSet::All();
    for (bool first = true; first || !Peek(U"]"); first = false) {
      if (at_ >= text_.size()) return Fail("a character class without end");
      TRY_ASSIGN(Item item, Member(true));
      if (Peek(U"-") && !Peek(U"-]")) {
        ++at_;
        if (at_ >= text_.size()) return Fail("a character class without end");
        TRY_ASSIGN(const Item last, Member(true));
        if (!item.character || !last.character || *item.character > *last.character) {
          return Fail("a bad range of characters");
        }
        item = Characters(CharSet({{*item.character, *last.character}}));
      }
      regular_.work().Spend(std::ssize(set.ranges()) + std::ssize(not_set.ranges()));
      TRY(regular_.work().Check());
      set = set | item.it;
      not_set = not_set & item.not_it;
    }
    ++at_;
    return negated ? not_set : set;
  }

  // The characters of the set. With ignore_case, their other cases match too.
  Item Characters(const CharSet& set) const {
    if (!flags_.ignore_case) return {set, CharSet::All() - set};
    return {set | OtherCases(set), CharSet::All() - (set | AllCases(set))};
  }

  // Parses one character or one escape, inside or outside a class.
  Result<Item> Member(bool in_class = false) {
    const char32_t c = text_[at_];
    if (c != '\\') {
      ++at_;
      Item item = Characters(CharSet::One(c));
      item.character = c;
      return item;
    }
    if (at_ + 1 >= text_.size()) return Fail("a backslash at the end");
    const char32_t escaped = text_[at_ + 1];
    const bool ascii_only = flags_.ascii || search_;
    switch (escaped) {
      case 'd':
      case 'D':
      case 's':
      case 'S':
      case 'w':
      case 'W': {
        at_ += 2;
        const bool is_negation = escaped < 'a';
        const CharacterClass& named =
            NamedClass(static_cast<char>(escaped | 0x20), ascii_only, flags_.ascii);
        return is_negation ? Item{named.not_it, named.it} : Item{named.it, named.not_it};
      }
      default:
        break;
    }
    TRY_ASSIGN(const char32_t character, EscapedCharacter(escaped, in_class));
    Item item = Characters(CharSet::One(character));
    item.character = character;
    return item;
  }

  Result<char32_t> EscapedCharacter(char32_t escaped, bool in_class) {
    static constexpr std::u32string_view kLetters = U"abfnrtv", kMeant = U"\a\b\f\n\r\t\v";
    const size_t letter = kLetters.find(escaped);
    if (letter != kLetters.npos && (escaped != 'b' || in_class)) {
      at_ += 2;
      return kMeant[letter];
    }
    if (escaped == 'x') return Coded(2, 16);
    if (escaped == 'u') return Coded(4, 16);
    if (escaped == 'U') return Coded(8, 16);
    if (escaped == 'b' || escaped == 'B') return Fail("a word boundary is not supported");
    if (escaped >= '0' && escaped <= '9') {
      return Fail("{} is not supported", escaped == '0' ? "an octal escape" : "a backreference");
    }
    if ((escaped >= 'a' && escaped <= 'z') || (escaped >= 'A' && escaped <= 'Z')) {
      return Fail("escape '\\{}' is not supported", static_cast<char>(escaped));
    }
    at_ += 2;
    return escaped;
  }

  Result<char32_t> Coded(size_t digits, char32_t base) {
    at_ += 2;
    char32_t code = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const char32_t c = at_ < text_.size() ? text_[at_] : 0;
      const char32_t lower = c | 0x20;
      const bool is_digit = c >= '0' && c <= '9';
      if (!is_digit && !(lower >= 'a' && lower <= 'f')) return Fail("expected a hexadecimal digit");
      code = code * base + (is_digit ? c - '0' : lower - 'a' + 10);
      if (code > 0x10FFFF) return Fail("a code that no character has");
    }
    return code;
  }

  std::u32string text_;
  size_t at_ = 0;
  Flags flags_;
  bool search_;
  Regular& regular_;
};

}  // namespace

Result<Regular::Term> ParseRegex(std::string_view regex, Regular* regular) {
  return RegexParser(regex, false, regular).Parse();
}

Result<Regular::Term> ParseSearchRegex(std::string_view regex, Regular* regular) {
  return RegexParser(regex, true, regular).Parse();
}

}  // namespace merope

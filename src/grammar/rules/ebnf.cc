#include "grammar/rules/ebnf.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace merope {
namespace {

constexpr int kMaxRuleDepth = 100;
constexpr int64_t kMaxRepeat = 4096, kUnbounded = -1;
constexpr int64_t kMaxSize = 1 << 17;  // total size of the symbols that repetitions write

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNamePart(char c) { return IsNameStart(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; }

class EbnfParser {
 public:
  explicit EbnfParser(std::string_view text) : text_(text) {}

  Result<Rules> Parse() {
    for (Blank(); at_ < text_.size(); Blank()) {
      TRY_ASSIGN(const std::string name, Name());
      const RuleId rule = RuleOf(name);
      if (std::exchange(defined_[name], true)) return Fail("\"{}\" is defined twice", name);
      Blank();
      if (!Next("::=")) return Fail("expected ::= after \"{}\"", name);
      TRY_ASSIGN(rules_[rule].alternatives, Alternatives(0));
      if (at_ < text_.size() && !AtRule()) return Fail("expected a rule, found '{}'", text_[at_]);
    }
    for (const auto& [name, rule] : names_) {
      if (!defined_[name]) return Err("\"{}\" is not defined", name);
    }
    const auto root = names_.find("root");
    if (root == names_.end()) return Err("expected a rule named root, found none");
    rules_.root = root->second;
    return std::move(rules_);
  }

 private:
  template <class... Args>
  std::unexpected<Error> Fail(fmt::format_string<Args...> format, Args&&... args) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<int64_t>(at_), '\n');
    return Err("line {}: {}", line, fmt::format(format, std::forward<Args>(args)...));
  }
  bool Next(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  // Skips blanks, line ends and comments.
  void Blank() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
        ++at_;
      } else {
        return;
      }
    }
  }
  // True if a rule begins at at_.
  bool AtRule() const {
    size_t at = at_;
    if (at >= text_.size() || !IsNameStart(text_[at])) return false;
    while (at < text_.size() && IsNamePart(text_[at])) ++at;
    while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) ++at;
    return text_.substr(at).starts_with("::=");
  }

  Result<std::string> Name() {
    if (!IsNameStart(Peek())) return Fail("expected a rule's name");
    const size_t start = at_;
    while (at_ < text_.size() && IsNamePart(text_[at_])) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }
  RuleId RuleOf(const std::string& name) {
    const auto [known, is_new] = names_.try_emplace(name, 0);
    if (is_new) known->second = rules_.Add();
    return known->second;
  }

  Result<std::vector<Alternative>> Alternatives(int depth) {
    if (depth > kMaxRuleDepth) return Fail("more than {} groups inside each other", kMaxRuleDepth);
    std::vector<Alternative> alternatives;
    do {
      TRY_ASSIGN(Alternative alternative, Sequence(depth));
      alternatives.push_back(std::move(alternative));
    } while (Next("|"));
    return alternatives;
  }

  Result<Alternative> Sequence(int depth) {
    Alternative sequence;
    for (Blank(); at_ < text_.size() && Peek() != '|' && Peek() != ')' && !AtRule(); Blank()) {
      TRY_ASSIGN(const Symbol symbol, Element(depth));
      Blank();
      TRY(Quantify(symbol, &sequence));
    }
    return sequence;
  }

  Result<Symbol> Element(int depth) {
    if (Peek() == '"') return Text();
    if (Peek() == '[') return Class();
    if (Next(".")) return CharSet::All() - CharSet::One('\n');
    if (Next("(=")) return Fail("a lookahead is not supported");
    if (Next("(")) {
      TRY_ASSIGN(auto alternatives, Alternatives(depth + 1));
      if (!Next(")")) return Fail("a group without end");
      return rules_.Add({std::move(alternatives)});
    }
    if (!IsNameStart(Peek())) return Fail("unexpected '{}'", Peek());
    TRY_ASSIGN(const std::string name, Name());
    return RuleOf(name);
  }

  Status Quantify(const Symbol& symbol, Alternative* sequence) {
    if (Next("*")) {
      sequence->push_back(Star(symbol));
    } else if (Next("+")) {
      sequence->push_back(symbol);
      sequence->push_back(Star(symbol));
    } else if (Next("?")) {
      sequence->push_back(rules_.Add({{{symbol}, {}}}));
    } else if (Next("{")) {
      TRY_ASSIGN(const int64_t min, Count());
      int64_t max = min;
      Blank();
      if (Next(",")) {
        Blank();
        max = kUnbounded;
        if (Peek() != '}') {
          TRY_ASSIGN(max, Count());
        }
      }
      Blank();
      if (!Next("}")) return Fail("expected '}}'");
      if (max != kUnbounded && max < min) return Fail("a repetition of {} to {}", min, max);
      size_ += std::max(min, max) * SizeOf(symbol);
      if (size_ > kMaxSize) return Fail("too large");
      for (int64_t i = 0; i < min; ++i) sequence->push_back(symbol);
      if (max == kUnbounded) {
        sequence->push_back(Star(symbol));
      } else if (max > min) {
        RuleId optional = rules_.Add({{{symbol}, {}}});
        for (int64_t i = min + 1; i < max; ++i) optional = rules_.Add({{{symbol, optional}, {}}});
        sequence->push_back(optional);
      }
    } else {
      if (const auto* text = std::get_if<std::string>(&symbol); text && text->empty()) return {};
      sequence->push_back(symbol);
    }
    return {};
  }

  static int64_t SizeOf(const Symbol& symbol) {
    if (const auto* text = std::get_if<std::string>(&symbol)) return 1 + std::ssize(*text);
    if (const auto* set = std::get_if<CharSet>(&symbol)) return 1 + std::ssize(set->ranges());
    return 1;
  }

  RuleId Star(const Symbol& symbol) {
    const RuleId star = rules_.Add();
    rules_[star].alternatives = {{symbol, star}, {}};
    return star;
  }

  Result<int64_t> Count() {
    Blank();
    int64_t count = 0;
    if (Peek() < '0' || Peek() > '9') return Fail("expected a number of repetitions");
    for (; Peek() >= '0' && Peek() <= '9'; ++at_) {
      count = count * 10 + (Peek() - '0');
      if (count > kMaxRepeat) return Fail("a repetition of more than {}", kMaxRepeat);
    }
    return count;
  }

  Result<Symbol> Text() {
    ++at_;
    std::string text;
    while (Peek() != '"') {
      if (at_ >= text_.size() || Peek() == '\n') return Fail("a text without end");
      TRY_ASSIGN(const char32_t c, Character());
      utf8::Append(c, &text);
    }
    ++at_;
    return text;
  }

  Result<Symbol> Class() {
    ++at_;
    const bool negated = Next("^");
    std::vector<CharSet::Range> ranges;
    while (Peek() != ']') {
      if (at_ >= text_.size() || Peek() == '\n') return Fail("a character class without end");
      TRY_ASSIGN(const char32_t first, Character());
      char32_t last = first;
      if (Peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        TRY_ASSIGN(last, Character());
      }
      if (last < first) return Fail("a bad range of characters");
      ranges.push_back({first, last});
    }
    ++at_;
    const CharSet given(std::move(ranges));
    CharSet set = negated ? CharSet::All() - given : given;
    if (set.empty()) return Fail("a character class without characters");
    return set;
  }

  Result<char32_t> Character() {
    if (Peek() != '\\') return utf8::Next(text_, &at_);
    if (at_ + 1 >= text_.size()) return Fail("a backslash at the end");
    static constexpr std::string_view kLetters = "abfnrtve", kMeant = "\a\b\f\n\r\t\v\x1B";
    const char escaped = text_[at_ + 1];
    at_ += 2;
    if (const size_t letter = kLetters.find(escaped); letter != kLetters.npos)
      return kMeant[letter];
    const size_t digits = escaped == 'x' ? 2 : escaped == 'u' ? 4 : escaped == 'U' ? 8 : 0;
    if (digits == 0) {
      if (IsNamePart(escaped) && escaped != '-' && escaped != '.') {
        return Fail("escape '\\{}' is not supported", escaped);
      }
      --at_;
      return utf8::Next(text_, &at_);
    }
    char32_t code = 0;
    for (size_t i = 0; i < digits; ++i, ++at_) {
      const char c = Peek(), lower = static_cast<char>(c | 0x20);
      const bool is_digit = c >= '0' && c <= '9';
      if (!is_digit && (lower < 'a' || lower > 'f')) return Fail("expected a hexadecimal digit");
      code = code * 16 + static_cast<char32_t>(is_digit ? c - '0' : lower - 'a' + 10);
    }
    if (!CharSet::All().Contains(code)) return Fail("a code that no character has");
    return code;
  }

  std::string_view text_;
  size_t at_ = 0;
  int64_t size_ = 0;
  Rules rules_;
  std::map<std::string, RuleId> names_;
  std::map<std::string, bool> defined_;
};

}  // namespace

Result<Rules> EbnfRules(std::string_view grammar) { return EbnfParser(grammar).Parse(); }

}  // namespace merope

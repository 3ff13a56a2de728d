#include "template/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "text/strings.h"

namespace merope::jinja {
namespace {

constexpr size_t kMaxSourceBytes = size_t{1} << 20;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNamePart(char c) { return IsNameStart(c) || IsDigit(c); }

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Replaces \r\n and \r by \n, and removes one newline at the end.
std::string NormalizeNewlines(std::string_view source) {
  std::string result;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else {
      result += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (result.ends_with('\n')) result.pop_back();
  return result;
}

class Lexer {
 public:
  Lexer(std::string source, const std::string& file) : source_(std::move(source)), file_(file) {}

  Result<std::vector<Token>> Run() {
    while (at_ < source_.size()) TRY(Text());
    tokens_.push_back({TokenKind::kEnd, "", line_});
    return std::move(tokens_);
  }

 private:
  // Reads the text up to the next mark ({{, {% or {#), then the output, statement or comment that
  // the mark opens.
  Status Text() {
    size_t mark = source_.find('{', at_);
    while (mark != source_.npos &&
           (mark + 1 == source_.size() ||
            std::string_view("{%#").find(source_[mark + 1]) == std::string_view::npos))
      mark = source_.find('{', mark + 1);
    if (mark == source_.npos) {
      PushText(Rest());
      Advance(source_.size());
      return {};
    }
    const char kind = source_[mark + 1];
    const char sign = mark + 2 < source_.size() ? source_[mark + 2] : '\0';
    std::string_view text = std::string_view(source_).substr(at_, mark - at_);
    if (sign == '-') {
      text = strings::Strip(text, false, true);
    } else if (sign != '+' && kind != '{') {
      const size_t line_start = text.rfind('\n') + 1;  // 0 if text has no newline
      if ((line_start > 0 || at_line_start_) &&
          strings::Strip(text.substr(line_start), true, false).empty())
        text = text.substr(0, line_start);
    }
    PushText(text);
    Advance(mark + (sign == '-' || sign == '+' ? 3 : 2));
    if (kind == '#') return Comment();
    if (kind == '%' && AtRaw()) return Raw();
    tokens_.push_back({kind == '{' ? TokenKind::kOutputBegin : TokenKind::kBlockBegin, "", line_});
    return Code(kind == '{' ? '}' : '%');
  }

  Status Comment() {
    const size_t end = source_.find("#}", at_);
    if (end == source_.npos) return Error("a comment that does not end");
    CloseAt(end, '#');
    return {};
  }

  bool AtRaw() const {
    const std::string_view rest = strings::Strip(Rest(), true, false);
    return rest.starts_with("raw") && (rest.size() == 3 || !IsNamePart(rest[3]));
  }

  Status Raw() {
    const size_t end = source_.find("%}", at_);
    if (end == source_.npos) return Error("raw: a statement that does not end");
    std::string_view inside = std::string_view(source_).substr(at_, end - at_);
    const bool strip = inside.ends_with('-');
    if (strip) inside.remove_suffix(1);
    if (strings::Strip(inside, true, true) != "raw") return Error("raw: expected \"%}\" after it");
    Advance(end + 2);
    if (strip) SkipSpace();  // without "-", Jinja does not trim the newline after {% raw %}
    for (size_t open = source_.find("{%", at_); open != source_.npos;
         open = source_.find("{%", open + 2)) {
      const size_t close = source_.find("%}", open);
      if (close == source_.npos) break;
      inside = std::string_view(source_).substr(open + 2, close - open - 2);
      const char sign = inside.empty() ? '\0' : inside.front();
      if (sign == '-' || sign == '+') inside.remove_prefix(1);
      if (inside.ends_with('-') || inside.ends_with('+')) inside.remove_suffix(1);
      if (strings::Strip(inside, true, true) != "endraw") continue;
      std::string_view text = std::string_view(source_).substr(at_, open - at_);
      if (sign == '-') {
        text = strings::Strip(text, false, true);
      } else if (sign != '+') {
        const size_t line_start = text.rfind('\n') + 1;
        if (line_start > 0 && strings::Strip(text.substr(line_start), true, false).empty())
          text = text.substr(0, line_start);
      }
      PushText(text);
      CloseAt(close, '%');
      return {};
    }
    return Error("raw: expected {% endraw %}, found the end of the template");
  }

  // Reads tokens up to the closing mark. A closing mark inside brackets does not count.
  Status Code(char closer) {
    std::string brackets;
    while (true) {
      SkipSpace();
      if (at_ >= source_.size()) return Error("an expression that does not end");
      const std::string_view rest = Rest();
      const bool signed_end =
          rest.size() > 2 && (rest[0] == '-' || (rest[0] == '+' && closer == '%'));
      const size_t close = signed_end ? 1 : 0;
      if (brackets.empty() && rest.size() >= close + 2 && rest[close] == closer &&
          rest[close + 1] == '}') {
        tokens_.push_back(
            {closer == '}' ? TokenKind::kOutputEnd : TokenKind::kBlockEnd, "", line_});
        CloseAt(at_ + close, closer);
        return {};
      }
      if (rest[0] == '"' || rest[0] == '\'') {
        TRY(StringLiteral());
      } else if (IsDigit(rest[0])) {
        TRY(Number());
      } else if (IsNameStart(rest[0])) {
        size_t n = 1;
        while (n < rest.size() && IsNamePart(rest[n])) ++n;
        Push(TokenKind::kName, std::string(rest.substr(0, n)), n);
      } else {
        TRY(Operator(&brackets));
      }
    }
  }

  Status Operator(std::string* brackets) {
    constexpr std::array<std::string_view, 25> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};
    const auto found = std::ranges::find_if(
        kOperators, [this](std::string_view text) { return Rest().starts_with(text); });
    if (found == kOperators.end())
      return Error(fmt::format("unexpected character \"{}\"",
                               Rest().substr(0, strings::CharacterBytes(source_, at_))));
    const char c = (*found)[0];
    if (c == '(' || c == '[' || c == '{') {
      *brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets->empty() || brackets->back() != c)
        return Error(fmt::format("unexpected \"{}\"", c));
      brackets->pop_back();
    }
    Push(TokenKind::kOperator, std::string(*found), found->size());
    return {};
  }

  Status Number() {
    const std::string_view rest = Rest();
    size_t n = 0;
    const auto digits = [&] {
      while (n < rest.size() &&
             (IsDigit(rest[n]) || (rest[n] == '_' && n + 1 < rest.size() && IsDigit(rest[n + 1]))))
        ++n;
    };
    digits();
    bool is_float = false;
    const bool index = at_ > 0 && source_[at_ - 1] == '.';  // an index, as in a.0.1
    if (!index && n + 1 < rest.size() && rest[n] == '.' && IsDigit(rest[n + 1])) {
      is_float = true;
      ++n;
      digits();
    }
    if (n < rest.size() && (rest[n] == 'e' || rest[n] == 'E')) {
      const size_t sign = n + 1 < rest.size() && (rest[n + 1] == '+' || rest[n + 1] == '-') ? 1 : 0;
      if (n + 1 + sign < rest.size() && IsDigit(rest[n + 1 + sign])) {
        is_float = true;
        n += 1 + sign;
        digits();
      }
    }
    if (n < rest.size() && IsNamePart(rest[n]))
      return Error(
          fmt::format("number \"{}\": only decimal ones are supported", rest.substr(0, n + 1)));
    std::string text(rest.substr(0, n));
    std::erase(text, '_');
    Push(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::move(text), n);
    return {};
  }

  Status StringLiteral() {
    const char quote = source_[at_];
    const int line = line_;
    std::string text;
    size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] != '\\') {
        text += source_[i++];
        continue;
      }
      if (i + 1 >= source_.size()) break;
      TRY_ASSIGN(i, Escape(i + 1, &text));
    }
    if (i >= source_.size()) return Error("a string that does not end");
    Advance(i + 1);
    tokens_.push_back({TokenKind::kString, std::move(text), line});
    return {};
  }

  // Appends the character of one of Python's escapes to *text. An unknown escape stays unchanged.
  // at: the position after the backslash. Returns the position after the escape.
  Result<size_t> Escape(size_t at, std::string* text) const {
    const char c = source_[at++];
    constexpr std::string_view kLetters = "nrtabfv\\'\"", kMeanings = "\n\r\t\a\b\f\v\\'\"";
    if (const size_t i = kLetters.find(c); i != kLetters.npos) {
      *text += kMeanings[i];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      uint32_t code = 0;
      for (int n = c == 'x' ? 2 : c == 'u' ? 4 : 8; n > 0; --n, ++at) {
        const int digit = at < source_.size() ? HexDigit(source_[at]) : -1;
        if (digit < 0) return Error(fmt::format("\\{}: expected hexadecimal digits", c));
        code = code << 4 | static_cast<uint32_t>(digit);
      }
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return Error(fmt::format("\\{}: expected a character, found {:#x}", c, code));
      utf8::Append(code, text);
    } else if (c == 'N' || IsDigit(c)) {
      return Error(fmt::format("the escape \\{} is not supported", c));
    } else if (c != '\n') {  // a backslash and the newline after it are left out
      *text += {'\\', c};
    }
    return at;
  }

  // Moves past the closing mark ("%}", "}}" or "#}") at `mark`, and past the whitespace that the
  // sign before the mark or trim_blocks removes.
  void CloseAt(size_t mark, char closer) {
    const char sign = mark > at_ || (mark > 0 && closer != '#') ? source_[mark - 1] : '\0';
    Advance(mark + 2);
    at_line_start_ = false;
    if (sign == '-') {
      const size_t before = at_;
      SkipSpace();
      at_line_start_ = at_ > before && source_[at_ - 1] == '\n';
    } else if (sign != '+' && closer != '}' && at_ < source_.size() && source_[at_] == '\n') {
      Advance(at_ + 1);
      at_line_start_ = true;
    }
  }

  void SkipSpace() { Advance(source_.size() - strings::Strip(Rest(), true, false).size()); }

  std::string_view Rest() const { return std::string_view(source_).substr(at_); }

  void Advance(size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  void Push(TokenKind kind, std::string text, size_t bytes) {
    tokens_.push_back({kind, std::move(text), line_});
    Advance(at_ + bytes);
  }

  void PushText(std::string_view text) {
    if (!text.empty()) tokens_.push_back({TokenKind::kText, std::string(text), line_});
  }

  std::unexpected<merope::Error> Error(const std::string& what) const {
    return Err("{}: line {}: {}", file_, line_, what);
  }

  std::string source_;
  const std::string& file_;
  size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> Tokenize(std::string_view source, const std::string& file) {
  if (source.size() > kMaxSourceBytes)
    return Err("{}: expected a chat template of at most {} bytes, found {}", file, kMaxSourceBytes,
               source.size());
  return Lexer(NormalizeNewlines(source), file).Run();
}

}  // namespace merope::jinja

#include "template/jinja/cursor.h"

namespace merope::jinja {

Token TokenCursor::Next() {
  Token token = tokens_[at_];
  if (token.kind != TokenKind::kEnd) ++at_;
  return token;
}

bool TokenCursor::AtOperator(std::string_view text) const {
  return Current().kind == TokenKind::kOperator && Current().text == text;
}

bool TokenCursor::AtName(std::string_view name) const {
  return Current().kind == TokenKind::kName && Current().text == name;
}

bool TokenCursor::TakeOperator(std::string_view text) { return AtOperator(text) && (Next(), true); }

bool TokenCursor::TakeName(std::string_view name) { return AtName(name) && (Next(), true); }

Status TokenCursor::ExpectOperator(std::string_view text) {
  if (TakeOperator(text)) return {};
  return Fail(fmt::format("expected \"{}\", found {}", text, Found()));
}

Result<std::string> TokenCursor::ExpectName() {
  if (Current().kind != TokenKind::kName)
    return Fail(fmt::format("expected a name, found {}", Found()));
  return Next().text;
}

Status TokenCursor::Expect(TokenKind kind, std::string_view what) {
  if (Current().kind != kind) return Fail(fmt::format("expected {}, found {}", what, Found()));
  Next();
  return {};
}

std::string TokenCursor::Found() const {
  switch (Current().kind) {
    case TokenKind::kText:
      return "text";
    case TokenKind::kOutputBegin:
      return "\"{{\"";
    case TokenKind::kOutputEnd:
      return "\"}}\"";
    case TokenKind::kBlockBegin:
      return "\"{%\"";
    case TokenKind::kBlockEnd:
      return "\"%}\"";
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kString:
      return "a string";
    default:
      return fmt::format("\"{}\"", Current().text.substr(0, 60));
  }
}

std::unexpected<Error> TokenCursor::Fail(const std::string& what) const {
  return Err("{}: line {}: {}", file_, Current().line, what);
}

}  // namespace merope::jinja

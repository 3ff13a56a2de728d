// A place in a template's tokens, with what parsers ask there.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/jinja_lexer.h"

namespace merope::jinja {

class TokenCursor {
 public:
  // tokens end with kEnd; file names them in errors, and must outlive this.
  TokenCursor(std::vector<Token> tokens, const std::string& file)
      : tokens_(std::move(tokens)), file_(file) {}

  const Token& Current() const { return tokens_[at_]; }
  const Token& Ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token Next();
  bool AtOperator(std::string_view text) const;
  bool AtName(std::string_view name) const;
  bool TakeOperator(std::string_view text);
  bool TakeName(std::string_view name);
  Status ExpectOperator(std::string_view text);
  Result<std::string> ExpectName();
  Status Expect(TokenKind kind, std::string_view what);
  std::string Found() const;  // the current token, for messages
  std::unexpected<Error> Fail(const std::string& what) const;

 private:
  std::vector<Token> tokens_;
  const std::string& file_;
  size_t at_ = 0;
};

}  // namespace merope::jinja

// TokenCursor: a position in the tokens of a template. The parsers use TokenCursor to test and to
// take tokens. At… tests the current token. Take… also moves past the token if the test holds.
// Expect… returns an error if the test fails.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "template/jinja/lexer.h"

namespace merope::jinja {

class TokenCursor {
 public:
  // tokens must end with kEnd. file: the name of the template, for errors. file must outlive the
  // TokenCursor.
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
  std::string Found() const;  // describes the current token, for error messages
  std::unexpected<Error> Fail(const std::string& what) const;

 private:
  std::vector<Token> tokens_;
  const std::string& file_;
  size_t at_ = 0;
};

}  // namespace merope::jinja

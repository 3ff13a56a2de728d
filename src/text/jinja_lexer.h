// A template's source, cut into text, expressions and statements, with whitespace control as
// transformers sets it: trim_blocks, lstrip_blocks, no newline at the end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace merope::jinja {

enum class TokenKind : uint8_t {
  kText,         // outside of all marks
  kOutputBegin,  // {{
  kOutputEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // its content, escapes resolved
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  int line = 0;
};

// Ends with a kEnd token. Errors name file and line.
Result<std::vector<Token>> Tokenize(std::string_view source, const std::string& file);

}  // namespace merope::jinja

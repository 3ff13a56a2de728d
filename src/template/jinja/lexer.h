// Cuts the source of a template into tokens of text, expressions and statements. The whitespace
// control is that of transformers: trim_blocks, lstrip_blocks, and no newline at the end. The
// parser calls Tokenize.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace merope::jinja {

enum class TokenKind : uint8_t {
  kText,         // text outside of {{ }}, {% %} and {# #}
  kOutputBegin,  // {{
  kOutputEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // text: the content, with escapes resolved
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

// The last token is kEnd. Errors name the file and the line.
Result<std::vector<Token>> Tokenize(std::string_view source, const std::string& file);

}  // namespace merope::jinja

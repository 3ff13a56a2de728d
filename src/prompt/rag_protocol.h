// The prompt protocol of the Pleias-RAG models: a query and numbered sources between special
// tokens. After the prompt, the model writes its analysis and its answer. These functions insert
// the protocol's tokens as ids. They encode the text of users and documents as plain text, so that
// no text can forge a token. Pure functions. Any thread may call them.
//
//   <|query_start|>QUERY<|query_end|>\n
//   <|source_start|><|source_id|>1 SOURCE<|source_end|>\n        (for each source)
//   <|language_start|>\n
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"

namespace merope {

// Whether the vocabulary has the protocol's tokens: those of the query and of the language. If the
// vocabulary lacks another token, EncodeRagPrompt fails. Other RAG models mark queries with the
// same tokens, but have no tokens of the language.
bool HasRagProtocol(const Tokenizer& tokenizer);

// The prompt begins with the tokenizer's own prefix. Sources are numbered from 1.
Result<std::vector<int32_t>> EncodeRagPrompt(const Tokenizer& tokenizer, std::string_view query,
                                             std::span<const std::string_view> sources);

// An answer that cites the first source, in the form that the model is trained to write after the
// prompt.
struct RagAnswer {
  std::string_view language;  // "English"
  std::string_view answer;    // without the citation
  std::string_view quote;     // from the source
};
Result<std::vector<int32_t>> EncodeRagAnswer(const Tokenizer& tokenizer, const RagAnswer& answer);

}  // namespace merope

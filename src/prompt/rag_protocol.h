// The prompt protocols of RAG models: a query and numbered sources between special tokens. These
// functions insert the protocol's tokens as ids. They encode the text of users and documents as
// plain text, so that no text can forge a token. Pure functions. Any thread may call them.
//
// Pleias-RAG (the source of its official library): after the prompt, the model writes its analysis
// and its answer.
//   <|query_start|>QUERY<|query_end|>\n
//   <|source_start|><|source_id|>1 SOURCE<|source_end|>\n        (for each source)
//   <|language_start|>\n
// OCC-RAG (the README of its authors): the same tokens of query and sources, in a user's message of
// its chat template. The template begins the answer with <|query_analysis_start|>.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/tokenizer.h"

namespace merope {

// Found by the names of the vocabulary's tokens.
enum class RagProtocol : uint8_t { kNone, kPleias, kOcc };
RagProtocol FindRagProtocol(const Tokenizer& tokenizer);

// The parts of a prompt. An error names the token that the vocabulary lacks.
Result<std::vector<int32_t>> EncodeRagQuery(const Tokenizer& tokenizer, std::string_view query);
Result<std::vector<int32_t>> EncodeRagSource(const Tokenizer& tokenizer, int64_t number,
                                             std::string_view text);
// Pleias-RAG: what follows the sources. The model then begins with its language.
Result<std::vector<int32_t>> EncodeRagOpening(const Tokenizer& tokenizer);
// Pleias-RAG: the same, and then the shortest text up to the answer, as if the model had written
// it. language: its English name.
Result<std::vector<int32_t>> EncodeRagFastOpening(const Tokenizer& tokenizer,
                                                  std::string_view language);

// A whole prompt of Pleias-RAG. It begins with the tokenizer's own prefix. Sources are numbered
// from 1.
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

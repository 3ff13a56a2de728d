// A made-up tokenizer.json for synthetic checkpoints: byte-level BPE that covers every text, of any
// vocabulary size, with the special tokens of the Pleias-RAG models in their places.
#pragma once

#include <cstdint>

#include "base/json.h"

namespace merope {

// Four special tokens, then a symbol for each byte; merges follow, and at the end, where there is
// room, the 19 tokens of the RAG protocol.
inline constexpr int64_t kSmallestSynthVocabulary = 4 + 256;

Json SynthTokenizer(int64_t vocab_size);
Json SynthTokenizerConfig(int64_t max_positions);

}  // namespace merope

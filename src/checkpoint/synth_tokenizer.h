// Makes a tokenizer.json for synthetic checkpoints: byte-level BPE that covers every text. The
// vocabulary may have any size from kSmallestSynthVocabulary on. The special tokens of the
// Pleias-RAG models have their usual places. Pure functions, called by synth.cc.
#pragma once

#include <cstdint>

#include "base/json.h"

namespace merope {

// Four special tokens, then one symbol for each byte. Merges follow. If there is room, the last
// tokens are the 19 tokens of the RAG protocol.
inline constexpr int64_t kSmallestSynthVocabulary = 4 + 256;

Json SynthTokenizer(int64_t vocab_size);
Json SynthTokenizerConfig(int64_t max_positions);

}  // namespace merope

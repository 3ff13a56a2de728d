// The data of a Tokenizer. The readers of tokenizer.json and of GGUF vocabularies fill it. Private
// to src/text.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/pieces.h"
#include "text/tokenizer.h"

namespace merope {

struct Tokenizer::State {
  std::string file;
  std::unique_ptr<const Bpe> bpe;  // its tokens include the added tokens
  std::vector<AddedToken> added;
  AddedTokenFinder raw, normalized;  // find added tokens before and after normalization
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> pre_tokenizers;
  std::vector<int32_t> prefix, suffix;  // the ids that the post-processor adds
  Decoder decoder;
  bool split_special = false;  // special tokens written out in a text are always plain text
  // bpe may hold more than vocab_size tokens. Encode never returns the ids of the further tokens.
  int32_t vocab_size = 0;

  Status Normalize(std::string* text) const;
  // added_index[id]: the position in added, or -1.
  std::vector<int32_t> added_index;
  // Fills added_index, raw and normalized from added, with the current normalizers. The readers
  // call FinishAdded last.
  Status FinishAdded();
  const AddedToken* Added(int32_t id) const {
    const int32_t index = added_index[static_cast<size_t>(id)];
    return index < 0 ? nullptr : &added[static_cast<size_t>(index)];
  }
};

}  // namespace merope

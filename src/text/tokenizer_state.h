// What a Tokenizer is made of; filled by the readers of tokenizer.json and of GGUF vocabularies.
// Private to src/text.
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
  std::unique_ptr<const Bpe> bpe;    // its tokens include the added ones
  std::vector<AddedToken> added;     // by id
  AddedTokenFinder raw, normalized;  // what is looked for before and after normalization
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> pre_tokenizers;
  std::vector<int32_t> prefix, suffix;  // the post-processor's
  Decoder decoder;
  bool split_special = false;  // special tokens written out in a text are plain text, always
  int32_t vocab_size = 0;      // the BPE may hold tokens past it that no id leaves by

  Status Normalize(std::string* text) const;
  // added_index[id]: position in added, or -1.
  std::vector<int32_t> added_index;
  // Fills added_index, raw and normalized from added, with the normalizers as they are.
  Status FinishAdded();
  const AddedToken* Added(int32_t id) const {
    const int32_t index = added_index[static_cast<size_t>(id)];
    return index < 0 ? nullptr : &added[static_cast<size_t>(index)];
  }
};

}  // namespace merope

#include "text/tokenizer_state.h"

namespace merope {

Result<Tokenizer> Tokenizer::FromGguf(GgufVocabulary, const std::string& file) {
  return Err("{}: GGUF vocabularies are not built yet", file);
}

}  // namespace merope

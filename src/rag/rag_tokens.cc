#include "rag/rag_tokens.h"

namespace merope {

RagTokens RagTokens::Find(const Tokenizer& tokenizer) {
  RagTokens found;
  for (size_t i = 0; i < kSections; ++i) {
    const auto section = static_cast<Section>(i);
    found.start[i] = tokenizer.TokenToId(SectionToken(section, true));
    found.end[i] = tokenizer.TokenToId(SectionToken(section, false));
  }
  found.source_id = tokenizer.TokenToId(kSourceIdToken);
  return found;
}

}  // namespace merope

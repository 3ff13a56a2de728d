// The tokens by which a RAG model marks the parts of its text, looked up by name in its own
// vocabulary. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "rag/cited_answer.h"
#include "text/tokenizer.h"

namespace merope {

struct RagTokens {
  std::array<std::optional<int32_t>, kSections> start, end;  // by Section
  std::optional<int32_t> source_id;

  static RagTokens Find(const Tokenizer& tokenizer);
  // The section that the token starts or ends; nullopt for any other token.
  std::optional<Section> Starts(int32_t id) const { return Of(start, id); }
  std::optional<Section> Ends(int32_t id) const { return Of(end, id); }

 private:
  static std::optional<Section> Of(const std::array<std::optional<int32_t>, kSections>& ids,
                                   int32_t id) {
    for (size_t i = 0; i < ids.size(); ++i)
      if (ids[i] == id) return static_cast<Section>(i);
    return std::nullopt;
  }
};

}  // namespace merope

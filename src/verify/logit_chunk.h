// Reads the logits of a few successive positions of a prompt from one source. Used by the suite, on
// its thread; threads may read a filled chunk at the same time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "verify/logit_source.h"
#include "verify/metrics.h"
#include "verify/prompts.h"

namespace merope {

struct LogitChunk {
  std::vector<float> rows;     // (positions, vocab); a row with NaN or infinity is set to zeros
  std::vector<bool> finite;    // (positions): whether all logits of the source's row were finite
  std::optional<TopRows> top;  // set instead of rows, if the source gives only top-k tokens
  double seconds = 0;          // time of all ReadChunk calls on this chunk

  std::span<const float> Row(int64_t row, int64_t vocab) const;
  ListedRow Listed(int64_t row) const;  // requires `top`
};

// Reads the positions [begin, end) of the prompt and replaces the content of the chunk.
Status ReadChunk(LogitSource& source, const VerifyPrompt& prompt, int64_t begin, int64_t end,
                 int64_t vocab, LogitChunk* chunk);

}  // namespace merope

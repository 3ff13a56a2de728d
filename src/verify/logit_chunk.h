// The logits of a few successive positions of a prompt, as one source has them.
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
  std::vector<float> rows;     // (positions, vocab); those that are not numbers: equal logits
  std::vector<bool> finite;    // which rows were numbers
  std::optional<TopRows> top;  // instead of rows
  double seconds = 0;          // that reading took, all chunks together

  std::span<const float> Row(int64_t row, int64_t vocab) const;
  ListedRow Listed(int64_t row) const;  // of top
};

// Positions [begin, end), in place of what the chunk held.
Status ReadChunk(LogitSource& source, const VerifyPrompt& prompt, int64_t begin, int64_t end,
                 int64_t vocab, LogitChunk* chunk);

}  // namespace merope

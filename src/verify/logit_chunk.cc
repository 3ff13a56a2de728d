#include "verify/logit_chunk.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/stopwatch.h"

namespace merope {

std::span<const float> LogitChunk::Row(int64_t row, int64_t vocab) const {
  return std::span(rows).subspan(static_cast<size_t>(row * vocab), static_cast<size_t>(vocab));
}

ListedRow LogitChunk::Listed(int64_t row) const {
  const size_t k = top->ids.size() / top->next_logprob.size(), begin = static_cast<size_t>(row) * k;
  return {std::span(top->ids).subspan(begin, k), std::span(top->logprobs).subspan(begin, k),
          top->next_logprob[static_cast<size_t>(row)]};
}

Status ReadChunk(LogitSource& source, const VerifyPrompt& prompt, int64_t begin, int64_t end,
                 int64_t vocab, LogitChunk* chunk) {
  const size_t n = static_cast<size_t>(end - begin), width = static_cast<size_t>(vocab);
  const Stopwatch watch;
  chunk->finite.assign(n, true);
  if (source.top_k() > 0) {
    TRY_ASSIGN(chunk->top, source.Top(prompt, begin, end));
  } else {
    chunk->rows.resize(n * width);
    TRY(source.Rows(prompt, begin, end, chunk->rows));
  }
  chunk->seconds += watch.Seconds();
  for (size_t i = 0; !chunk->top && i < n; ++i) {
    const auto row = std::span(chunk->rows).subspan(i * width, width);
    chunk->finite[i] = std::ranges::all_of(row, [](float z) { return std::isfinite(z); });
    if (!chunk->finite[i]) std::ranges::fill(row, 0.0f);
  }
  return {};
}

}  // namespace merope

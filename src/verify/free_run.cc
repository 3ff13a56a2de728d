#include "verify/free_run.h"

#include <algorithm>
#include <utility>

namespace merope {

int64_t FreeRunTokens(VerifyMode mode) {
  switch (mode) {
    case VerifyMode::kQuick:
      return 0;
    case VerifyMode::kDefault:
      return 32;
    case VerifyMode::kFull:
      return 128;
  }
  return 0;
}

int32_t GreedyToken(std::span<const float> row) {
  return static_cast<int32_t>(std::ranges::max_element(row) - row.begin());
}

Status ContinueText(LogitSource& target, int64_t vocab, int64_t length,
                    const std::function<int32_t(std::span<const float> row)>& choose,
                    VerifyPrompt* text) {
  std::vector<float> rows(static_cast<size_t>(kLogitChunk * vocab));
  for (int64_t begin = 0; std::ssize(text->ids) < length;) {
    const int64_t end = std::min(std::ssize(text->ids), begin + kLogitChunk);
    const std::span<float> read(rows.data(), static_cast<size_t>((end - begin) * vocab));
    TRY(target.Rows(*text, begin, end, read));
    begin = end;
    if (end == std::ssize(text->ids))
      text->ids.push_back(choose(read.last(static_cast<size_t>(vocab))));
  }
  return {};
}

Status AppendFreeRuns(LogitSource& target, int64_t vocab, int64_t context, int64_t tokens,
                      const std::function<Status(int64_t done)>& progress,
                      std::vector<VerifyPrompt>* prompts) {
  const size_t n = std::min(prompts->size(), ReportPrompts().size());
  for (size_t i = 0; i < n; ++i) {
    TRY(progress(static_cast<int64_t>(i)));
    VerifyPrompt text = (*prompts)[i];
    const int64_t asked = std::ssize(text.ids);
    const int64_t most = std::min(tokens, context - asked + 1);
    if (asked == 0 || most < 2) continue;
    text.id = "free-" + text.id;
    text.kind = kFreeRun;
    text.generated = most - 1;
    TRY(ContinueText(target, vocab, asked + text.generated, GreedyToken, &text));
    prompts->push_back(std::move(text));
  }
  return {};
}

}  // namespace merope

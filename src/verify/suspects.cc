#include "verify/suspects.h"

#include <algorithm>
#include <map>
#include <utility>

#include "verify/logit_chunk.h"

namespace merope {
namespace {

// Keeps the largest errors of the samples.
void KeepWorst(const RowMetrics& sample, Suspect* suspect) {
  if (!suspect->emulated) {
    suspect->emulated = sample;
    return;
  }
  RowMetrics& worst = *suspect->emulated;
  worst.hellinger2 = std::max(worst.hellinger2, sample.hellinger2);
  worst.sigma_d = std::max(worst.sigma_d, sample.sigma_d);
}

}  // namespace

int64_t SuspectPositions(VerifyMode mode) {
  return mode == VerifyMode::kQuick ? 600 : mode == VerifyMode::kDefault ? 4000 : 20000;
}

uint64_t NoiseSamples(OpRounding rounding) { return rounding == OpRounding::kNone ? 1 : 8; }

Status Examine(const Examination& examination, const std::vector<PositionRecord>& positions,
               uint64_t sample, int64_t* budget, std::vector<Suspect>* suspects) {
  std::map<int32_t, std::vector<Suspect*>> by_prompt;
  for (Suspect& suspect : *suspects) {
    const PositionRecord& record = positions[suspect.record];
    if (suspect.emulated && (sample == 0 || Explains(*suspect.emulated, record.target))) continue;
    by_prompt[record.prompt].push_back(&suspect);
  }
  std::vector<std::pair<int64_t, int32_t>> order;  // positions to run, prompt
  for (const auto& [prompt, found] : by_prompt)
    order.emplace_back(positions[found.back()->record].position + 1, prompt);
  std::ranges::sort(order);
  int64_t total = 0;
  size_t n_prompts = 0;
  while (n_prompts < order.size() && total + order[n_prompts].first <= *budget)
    total += order[n_prompts++].first;
  if (n_prompts == 0) return {};
  *budget -= total;
  TRY_ASSIGN(const std::shared_ptr<LogitSource> emulation, examination.emulation(sample));
  const int64_t vocab = examination.prompts.vocab;
  RowComparer comparer;
  std::vector<float> logprobs;
  LogitChunk baseline, target, emulated;
  int64_t done = 0;
  for (const auto& [n, index] : std::span(order).first(n_prompts)) {
    const VerifyPrompt& prompt = examination.prompts.prompts[static_cast<size_t>(index)];
    for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
      const int64_t end = std::min(n, begin + kLogitChunk);
      TRY(examination.stop.Check());
      TRY(ReadChunk(*examination.baseline, prompt, begin, end, vocab, &baseline));
      TRY(ReadChunk(*emulation, prompt, begin, end, vocab, &emulated));
      if (examination.top != nullptr)
        TRY(ReadChunk(*examination.top, prompt, begin, end, vocab, &target));
      for (Suspect* suspect : by_prompt[index])
        if (const int64_t at = positions[suspect->record].position - begin;
            0 <= at && at < end - begin)
          KeepWorst(CompareEmulated(comparer, baseline.Row(at, vocab), emulated.Row(at, vocab),
                                    target, at, std::nullopt, &logprobs),
                    suspect);
      examination.progress(done += end - begin, total);
    }
  }
  return {};
}

}  // namespace merope

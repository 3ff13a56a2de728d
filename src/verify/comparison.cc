#include "verify/comparison.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "verify/free_run.h"

namespace merope {
namespace {

// A position whose tokens so far also begin an earlier prompt has the same row as before; counted
// again, it would look like independent evidence. compared: hashes (FNV-1a, 64 bits) of the tokens
// up to each position.
std::vector<bool> FreshPositions(const VerifyPrompt& prompt,
                                 std::unordered_set<uint64_t>* compared) {
  std::vector<bool> fresh;
  uint64_t hash = 0xcbf29ce484222325u;
  for (const int32_t id : prompt.ids) {
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ ((static_cast<uint32_t>(id) >> shift) & 0xff)) * 0x100000001b3u;
    const int64_t position = std::ssize(fresh);
    const bool known = position < prompt.first || !compared->insert(hash).second;
    // The row that chose the first token of a free run counts there, too.
    const bool chose = prompt.kind == kFreeRun && position == prompt.asked() - 1;
    fresh.push_back(!known || chose);
  }
  return fresh;
}

}  // namespace

SuitePrompts ArrangePrompts(std::vector<VerifyPrompt> prompts, int64_t vocab,
                            int64_t reference_positions) {
  SuitePrompts arranged;
  arranged.vocab = vocab;
  arranged.prompts = std::move(prompts);
  std::unordered_set<uint64_t> compared;
  for (const VerifyPrompt& p : arranged.prompts) {
    arranged.longest = std::max(arranged.longest, std::ssize(p.ids));
    arranged.fresh.push_back(FreshPositions(p, &compared));
  }
  size_t& n = arranged.n_reference;
  for (int64_t positions = 0; n < arranged.prompts.size() && positions < reference_positions; ++n)
    positions += std::ranges::count(arranged.fresh[n], true);
  return arranged;
}

Status CheckPrompts(const std::string& where, const ModelConfig& config,
                    std::span<const VerifyPrompt> prompts) {
  const int64_t vocab = config.vocab_size;
  for (const VerifyPrompt& p : prompts)
    for (const int32_t id : p.ids)
      if (id < 0 || id >= vocab)
        return Err("{}: prompt {}: expected token ids below the model's vocab_size {}, found {}",
                   where, p.id, vocab, id);
  if (std::ranges::all_of(prompts, [](const VerifyPrompt& p) { return p.ids.size() < 2; }))
    return Err("{}: context: expected at least 2 positions, found {}", where,
               config.max_position_embeddings);
  return {};
}

RowMetrics CompareEmulated(RowComparer& comparer, std::span<const float> baseline,
                           std::span<const float> emulated, const LogitChunk& target, int64_t row,
                           std::optional<int32_t> next, std::vector<float>* logprobs) {
  if (!target.top) return comparer.Compare(baseline, emulated, next);
  const ListedRow listed = comparer.List(emulated, target.Listed(row).ids, next, logprobs);
  return comparer.Compare(baseline, listed, next);
}

Status Comparison::Compare(const ComparedSources& sources, const ComparedRecords* known,
                           size_t first_prompt, size_t end_prompt, const PositionProgress& progress,
                           ComparedRecords* records) {
  std::vector<Comparer> comparers(static_cast<size_t>(team_.size()));
  Chunks chunks;
  int64_t total = 0, done = 0;
  for (size_t prompt = first_prompt; prompt < end_prompt; ++prompt)
    total += std::ssize(prompts_.prompts[prompt].ids);
  for (size_t prompt = first_prompt; prompt < end_prompt; ++prompt) {
    const bool referenced = prompt < prompts_.n_reference;
    const int64_t n = std::ssize(prompts_.prompts[prompt].ids);
    for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
      const int64_t end = std::min(n, begin + kLogitChunk);
      TRY(ReadChunks(sources, prompt, begin, end, referenced && known == nullptr, &chunks));
      std::vector<int64_t> todo;
      for (int64_t i = begin; i < end; ++i)
        if (prompts_.fresh[prompt][static_cast<size_t>(i)]) todo.push_back(i);
      const size_t first = records->positions.size(), first_reference = records->references.size();
      records->positions.resize(first + todo.size());
      if (referenced) records->references.resize(first_reference + todo.size());
      team_.Run([&](int thread) {
        Comparer& comparer = comparers[static_cast<size_t>(thread)];
        for (size_t t = static_cast<size_t>(thread); t < todo.size();
             t += static_cast<size_t>(team_.size())) {
          PositionRecord& record = records->positions[first + t];
          const int64_t row = todo[t] - begin;
          CompareTarget(comparer, chunks, prompt, todo[t], row, &record);
          if (known != nullptr) record.finite = record.finite && known->positions[first + t].finite;
          if (!referenced) continue;
          ReferenceRecord& reference = records->references[first_reference + t];
          if (known != nullptr) {
            reference = known->references[first_reference + t];
          } else {
            CompareReference(comparer, sources, chunks, Next(prompt, todo[t]), row, &record,
                             &reference);
          }
          reference.target = record.target;
          if (sources.reference == nullptr) reference.reference = record.target;
        }
      });
      const int64_t last = prompts_.prompts[prompt].asked() - 1;
      if (begin <= last && last < end && prompt < ReportPrompts().size())
        records->first_token.rows.push_back(
            FirstToken(comparers[0], prompts_.prompts[prompt], chunks, last - begin));
      if (sources.listed_row && chunks.target.top && prompt < ReportPrompts().size())
        for (const int64_t i : todo)
          sources.listed_row(Row(chunks.baseline, i - begin), chunks.target.Listed(i - begin));
      progress(done += end - begin, total);
    }
  }
  records->baseline_seconds += chunks.baseline.seconds;
  records->target_seconds += chunks.target.seconds;
  return {};
}

Status Comparison::ReadChunks(const ComparedSources& sources, size_t prompt, int64_t begin,
                              int64_t end, bool referenced, Chunks* chunks) const {
  const auto read = [&](LogitSource* source, LogitChunk* chunk) {
    return source == nullptr
               ? Status()
               : ReadChunk(*source, prompts_.prompts[prompt], begin, end, prompts_.vocab, chunk);
  };
  TRY(sources.stop.Check());
  TRY(read(sources.baseline, &chunks->baseline));
  TRY(read(sources.target, &chunks->target));
  if (!referenced) return {};
  TRY(read(sources.reference, &chunks->reference));
  TRY(read(sources.emulated, &chunks->emulated));
  return read(sources.rounded, &chunks->rounded);
}

// The target has chosen the generated tokens itself, so its probabilities there are no sample of
// its error.
std::optional<int32_t> Comparison::Next(size_t prompt, int64_t position) const {
  const VerifyPrompt& p = prompts_.prompts[prompt];
  const size_t after = static_cast<size_t>(position) + 1;
  return std::cmp_less(after, p.asked()) ? std::optional(p.ids[after]) : std::nullopt;
}

void Comparison::CompareTarget(Comparer& comparer, const Chunks& chunks, size_t prompt,
                               int64_t position, int64_t row, PositionRecord* record) const {
  const std::span<const float> baseline = Row(chunks.baseline, row);
  const std::optional<int32_t> next = Next(prompt, position);
  const auto at = static_cast<size_t>(row);
  *record = {static_cast<int32_t>(prompt), static_cast<int32_t>(position),
             chunks.target.top ? comparer.rows.Compare(baseline, chunks.target.Listed(row), next)
                               : comparer.rows.Compare(baseline, Row(chunks.target, row), next),
             chunks.baseline.finite[at] && chunks.target.finite[at]};
}

void Comparison::CompareReference(Comparer& comparer, const ComparedSources& sources,
                                  const Chunks& chunks, std::optional<int32_t> next, int64_t row,
                                  PositionRecord* record, ReferenceRecord* reference) const {
  const auto at = static_cast<size_t>(row);
  record->finite = record->finite && chunks.emulated.finite[at] &&
                   (sources.reference == nullptr || chunks.reference.finite[at]) &&
                   (sources.rounded == nullptr || chunks.rounded.finite[at]);
  const std::span<const float> baseline = Row(chunks.baseline, row);
  const std::span<const float> emulated = Row(chunks.emulated, row);
  reference->prompt = record->prompt;
  if (sources.reference != nullptr)
    reference->reference = comparer.rows.Compare(Row(chunks.reference, row), baseline, next);
  reference->emulated = CompareEmulated(comparer.rows, baseline, emulated, chunks.target, row, next,
                                        &comparer.logprobs);
  reference->rounding =
      sources.rounded == nullptr && !chunks.target.top
          ? reference->emulated
          : comparer.rows.Compare(
                baseline, sources.rounded == nullptr ? emulated : Row(chunks.rounded, row), next);
}

FirstTokenRow Comparison::FirstToken(Comparer& comparer, const VerifyPrompt& prompt,
                                     const Chunks& chunks, int64_t row) const {
  const std::span<const float> baseline = Row(chunks.baseline, row);
  const TopMetrics m = chunks.target.top
                           ? comparer.rows.CompareTop(baseline, chunks.target.Listed(row))
                           : comparer.rows.CompareTop(baseline, Row(chunks.target, row));
  return {prompt.text,
          names_(m.baseline_top1),
          names_(m.target_top1),
          m.baseline_top1 == m.target_top1,
          m.cosine,
          m.kl,
          m.js,
          m.mae,
          m.spearman,
          m.mean_relative_error};
}

Judgment JudgeRecords(const SuitePrompts& prompts, size_t n_prompts, const ModelConfig& config,
                      const TokenNames& names, bool narrow, ComparedRecords records,
                      std::span<const Suspect> suspects) {
  Judgment judgment;
  judgment.first_token = std::move(records.first_token);
  JudgeFirstToken(&judgment.first_token);
  judgment.reference = JudgeReference(records.references, LongestSum(config, prompts.longest));
  judgment.positions = JudgePositions(records.positions, records.references, suspects,
                                      std::span(prompts.prompts).first(n_prompts),
                                      judgment.reference, narrow, names);
  judgment.verdict = Worse(judgment.first_token.verdict, judgment.positions.verdict);
  return judgment;
}

}  // namespace merope

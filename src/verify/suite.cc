#include "verify/suite.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "engine/load.h"
#include "verify/figures.h"
#include "verify/kept_rows.h"
#include "verify/logit_chunk.h"
#include "verify/logit_source.h"
#include "verify/logits_file.h"
#include "verify/metrics.h"
#include "verify/numerics.h"
#include "verify/token_text.h"
#include "verify/user_prompts.h"

namespace merope {
namespace {

// The least number of positions for which the reference back end computes the fp32 rows and the
// emulated rows. Fewer, if all prompts together have fewer.
// An endpoint's rows list few tokens, so that some gates see only a part of them.
int64_t ReferencePositions(const VerifyOptions& options) {
  if (options.mode != VerifyMode::kQuick) return 1000;
  return options.endpoint == nullptr ? 320 : 640;
}
// The format that the reference back end emulates: the target's format, or bf16 for an fp32 target.
Precision EmulatedPrecision(Precision target) {
  return target == Precision::kFp32 ? Precision::kBf16 : target;
}
// Samples of the noise of a format that rounds every op, for each suspect that stays unexplained.
constexpr uint64_t kNoiseSamples = 8;

// Whether the emulated format is bf16 as merope computes it.
bool IsPlainBf16(const VerifyOptions& options) {
  return EmulatedPrecision(options.target) == Precision::kBf16 &&
         options.target_kv == KvStorage::kAuto && options.target_rounding == OpRounding::kNone;
}
// The largest number of positions that the reference back end computes to examine suspects.
int64_t SuspectPositions(VerifyMode mode) {
  return mode == VerifyMode::kQuick ? 600 : mode == VerifyMode::kDefault ? 4000 : 20000;
}

// Which positions of a prompt to compare: those that have a row, and whose tokens so far do not
// begin an earlier prompt, too. Such a position has the same row as before; counted again, it would
// look like independent evidence. compared: hashes (FNV-1a, 64 bits) of the tokens up to each
// position.
std::vector<bool> FreshPositions(const VerifyPrompt& prompt,
                                 std::unordered_set<uint64_t>* compared) {
  std::vector<bool> fresh;
  uint64_t hash = 0xcbf29ce484222325u;
  for (const int32_t id : prompt.ids) {
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ ((static_cast<uint32_t>(id) >> shift) & 0xff)) * 0x100000001b3u;
    const bool has_row = std::ssize(fresh) >= prompt.first;
    fresh.push_back(has_row && compared->insert(hash).second);
  }
  return fresh;
}

class Suite {
 public:
  Suite(const Checkpoint& checkpoint, const Tokenizer& tokenizer, const VerifyOptions& options)
      : checkpoint_(checkpoint),
        original_(options.original != nullptr ? *options.original : checkpoint),
        tokenizer_(tokenizer),
        options_(options),
        vocab_(checkpoint.config().vocab_size) {}

  Result<VerifyResult> Run() {
    const Stopwatch watch;
    VerifyResult result;
    result.mode = options_.mode;
    result.model = checkpoint_.path();
    result.target_precision = options_.target;
    result.target_rounding = options_.target_rounding;
    result.threads = options_.threads > 0 ? options_.threads : DefaultThreads();
    result.context = checkpoint_.config().max_position_embeddings;
    TRY(CheckVocabulary(checkpoint_));
    TRY_ASSIGN(prompts_, SuitePrompts(checkpoint_, tokenizer_, options_.mode, options_.prompts));
    TRY(CheckPrompts());
    std::unique_ptr<LogitSource> baseline, target;
    if (options_.endpoint != nullptr) {
      TRY_ASSIGN(target, AskEndpoint());
      TRY(CheckPrompts());
    }
    for (const VerifyPrompt& p : prompts_) longest_ = std::max(longest_, std::ssize(p.ids));
    std::unordered_set<uint64_t> compared;
    for (const VerifyPrompt& p : prompts_) fresh_.push_back(FreshPositions(p, &compared));
    for (int64_t n = 0; n_reference_ < prompts_.size() && n < ReferencePositions(options_);
         ++n_reference_)
      n += std::ranges::count(fresh_[n_reference_], true);

    if (!options_.against.empty()) {
      TRY_ASSIGN(baseline, OpenLogitsFile(options_.against, vocab_));
      if (baseline->top_k() > 0)
        return Err("{}: expected whole rows of logits of a baseline, found those of top-k tokens",
                   options_.against);
      TRY(CheckFile(*baseline));
    }
    if (!options_.target_file.empty()) {
      TRY_ASSIGN(target, OpenLogitsFile(options_.target_file, vocab_));
      TRY(CheckFile(*target));
    }
    const bool foreign_target = target != nullptr;
    // The baseline is the file if there is one. Otherwise the baseline is the double-precision
    // reference for an fp32 target that the suite runs itself, and fp32 on the CPU back end for any
    // other target.
    const bool against_reference =
        options_.target == Precision::kFp32 && baseline == nullptr && !foreign_target;
    if (!against_reference) {
      TRY_ASSIGN(reference_,
                 ReferenceRows(original_, Precision::kFp32, KvStorage::kAuto, "fp32 reference"));
    }
    const Precision emulated = EmulatedPrecision(options_.target);
    TRY_ASSIGN(emulated_,
               ReferenceRows(checkpoint_, emulated, options_.target_kv,
                             NumericsName(emulated, options_.target_rounding) + " emulation",
                             options_.target_rounding));
    if (!IsPlainBf16(options_)) {
      TRY_ASSIGN(rounded_,
                 ReferenceRows(original_, Precision::kBf16, KvStorage::kAuto, "bf16 emulation"));
    }
    if (!baseline) {
      TRY_ASSIGN(baseline,
                 LoadLogitSource(original_, against_reference ? kReferenceBackend : kCpuBackend,
                                 Precision::kFp32, KvStorage::kAuto, options_.threads, longest_));
    }
    if (!target) {
      TRY_ASSIGN(target, LoadLogitSource(checkpoint_, kCpuBackend, options_.target,
                                         options_.target_kv, options_.threads, longest_));
    }
    result.baseline = baseline->name();
    if (&original_ != &checkpoint_) {
      result.baseline += " of " + original_.path();
    } else if (IsOwnInteger(checkpoint_.config().dtype) && options_.against.empty()) {
      result.baseline += " of its own integers (--baseline names the original)";
    }
    result.target = target->name();
    if (options_.target_kv == KvStorage::kInt8 && !foreign_target)
      result.target += ", int8 K/V cache";
    TRY(CompareAll(*baseline, *target, result.threads));
    if (!foreign_target) target.reset();
    suspects_ = FindSuspects(positions_, references_);
    TRY(Examine(*baseline, target.get()));

    const ModelConfig& config = checkpoint_.config();
    result.first_token = std::move(first_token_);
    JudgeFirstToken(&result.first_token);
    const int64_t longest_sum = std::max({config.hidden_size, config.num_heads * config.head_dim,
                                          config.intermediate_size, longest_});
    result.reference = JudgeReference(references_, longest_sum);
    result.positions =
        JudgePositions(positions_, references_, suspects_, prompts_, result.reference,
                       IsNarrow(options_.target) || options_.target_rounding != OpRounding::kNone,
                       [this](int32_t id) { return TokenText(tokenizer_, id); });
    result.verdict = Worse(result.first_token.verdict, result.positions.verdict);
    if (options_.endpoint != nullptr) {
      result.endpoint = DescribeTarget(*options_.endpoint);
      result.endpoint->stability = std::move(stability_);
      result.endpoint->eager = std::move(pair_);
      result.verdict = Worse(result.verdict, result.endpoint->verdict);
    }
    const double n = static_cast<double>(positions_.size());
    result.baseline_tokens_per_second = n / baseline_seconds_;
    result.target_tokens_per_second = n / target_seconds_;
    result.seconds = watch.Seconds();
    return result;
  }

 private:
  Status CheckPrompts() const {
    if (original_.config().vocab_size != vocab_)
      return Err("{}: vocab_size: expected {} as in {}, found {}", original_.path(), vocab_,
                 checkpoint_.path(), original_.config().vocab_size);
    for (const VerifyPrompt& p : prompts_)
      for (const int32_t id : p.ids)
        if (id < 0 || id >= vocab_)
          return Err("{}: prompt {}: expected token ids below the model's vocab_size {}, found {}",
                     checkpoint_.path(), p.id, vocab_, id);
    if (std::ranges::all_of(prompts_, [](const VerifyPrompt& p) { return p.ids.size() < 2; }))
      return Err("{}: context: expected at least 2 positions, found {}", checkpoint_.path(),
                 checkpoint_.config().max_position_embeddings);
    return {};
  }

  // Asks the endpoint, and a second one, for everything; returns the rows of the first.
  Result<std::unique_ptr<LogitSource>> AskEndpoint() {
    const EndpointTarget& target = *options_.endpoint;
    const auto progress = [this](std::string_view phase) {
      return [this, phase](int64_t done, int64_t total) { Progress(phase, done, total); };
    };
    const StabilityPlan plan = PlanStability(target.ask, options_.mode, prompts_);
    if (target.say) {
      const ServerFacts& facts = target.endpoint.facts();
      const int64_t servers = target.eager ? 2 : 1, more = target.stability ? 1 : 0;
      target.say(fmt::format("{} at {}, model {}: {} requests of {} tokens in all, numerics {}",
                             facts.software.empty() ? "server" : facts.software, facts.url,
                             facts.model, servers * std::ssize(prompts_) + more * plan.requests,
                             servers * TokensToAsk(target.ask, prompts_) + more * plan.tokens,
                             NumericsName(target.numerics.precision, target.numerics.rounding)));
    }
    TRY_ASSIGN(std::vector<CompletionAnswer> answers,
               AskPrompts(target.endpoint, target.ask, &prompts_, progress("asking the endpoint")));
    if (target.eager) {
      TRY_ASSIGN(
          const std::vector<CompletionAnswer> others,
          AskPrompts(*target.eager, target.ask, &prompts_, progress("asking the second endpoint")));
      pair_ = CompareServers(prompts_, answers, others);
      pair_->second = target.eager->facts();
    }
    if (target.stability) {
      TRY_ASSIGN(stability_,
                 MeasureStability(target.endpoint, target.ask, plan, progress("stability")));
    }
    return RowsOfAnswers(target.endpoint.facts(), target.ask, vocab_, std::move(answers),
                         &prompts_);
  }

  // Refuses a file that lacks a prompt, before the long work begins.
  Status CheckFile(LogitSource& file) const {
    std::vector<float> row(static_cast<size_t>(vocab_));
    for (const VerifyPrompt& p : prompts_) {
      if (file.top_k() > 0) {
        TRY(file.Top(p, 0, std::ssize(p.ids)));
      } else {
        TRY(file.Rows(p, 0, 1, row));
      }
    }
    return {};
  }

  std::span<const VerifyPrompt> ReferencePrompts() const {
    return std::span(prompts_).first(n_reference_);
  }

  void Progress(std::string_view phase, int64_t done, int64_t total) const {
    if (options_.progress) options_.progress(phase, done, total);
  }

  // Computes the logits of the reference prompts on the reference back end, and keeps them in a
  // file. The model is freed before the function returns.
  Result<std::unique_ptr<LogitSource>> ReferenceRows(
      const Checkpoint& checkpoint, Precision precision, KvStorage kv, std::string_view phase,
      OpRounding rounding = OpRounding::kNone) const {
    int64_t total = 0;
    for (const VerifyPrompt& p : ReferencePrompts()) total += std::ssize(p.ids);
    TRY_ASSIGN(const std::unique_ptr<LogitSource> source,
               LoadLogitSource(checkpoint, kReferenceBackend, precision, kv, options_.threads,
                               longest_, rounding));
    return KeepRows(*source, ReferencePrompts(), vocab_, [&](int64_t done) {
      Progress(phase, done, total);
      return options_.stop.Check();
    });
  }

  struct Chunks {
    LogitChunk baseline, target, reference, emulated, rounded;
  };
  struct Comparer {
    RowComparer rows;
    std::vector<float> logprobs;
  };

  // Reads one chunk of positions from each source, compares the rows of the chunk, and goes on with
  // the next chunk. All threads of the team compare rows; the calling thread reads.
  Status CompareAll(LogitSource& baseline, LogitSource& target, int threads) {
    ThreadTeam team(threads);
    std::vector<Comparer> comparers(static_cast<size_t>(team.size()));
    Chunks chunks;
    int64_t total = 0, done = 0;
    for (const VerifyPrompt& p : prompts_) total += std::ssize(p.ids);
    for (size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
      const bool referenced = prompt < n_reference_;
      const int64_t n = std::ssize(prompts_[prompt].ids);
      for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
        const int64_t end = std::min(n, begin + kLogitChunk);
        TRY(Read(&baseline, prompt, begin, end, &chunks.baseline));
        TRY(Read(&target, prompt, begin, end, &chunks.target));
        if (referenced) {
          TRY(Read(reference_.get(), prompt, begin, end, &chunks.reference));
          TRY(Read(emulated_.get(), prompt, begin, end, &chunks.emulated));
          TRY(Read(rounded_.get(), prompt, begin, end, &chunks.rounded));
        }
        std::vector<int64_t> todo;
        for (int64_t i = begin; i < end; ++i)
          if (fresh_[prompt][static_cast<size_t>(i)]) todo.push_back(i);
        const size_t first = positions_.size(), first_reference = references_.size();
        positions_.resize(first + todo.size());
        if (referenced) references_.resize(first_reference + todo.size());
        team.Run([&](int thread) {
          for (size_t t = static_cast<size_t>(thread); t < todo.size();
               t += static_cast<size_t>(team.size()))
            CompareRow(comparers[static_cast<size_t>(thread)], chunks, prompt, todo[t],
                       todo[t] - begin, &positions_[first + t],
                       referenced ? &references_[first_reference + t] : nullptr);
        });
        const int64_t last = prompts_[prompt].asked() - 1;
        if (begin <= last && last < end && prompt < ReportPrompts().size())
          AddFirstToken(comparers[0], prompts_[prompt], chunks, last - begin);
        if (options_.listed_row && chunks.target.top && prompt < ReportPrompts().size())
          for (const int64_t i : todo)
            options_.listed_row(Row(chunks.baseline, i - begin), chunks.target.Listed(i - begin));
        Progress("comparing", done += end - begin, total);
      }
    }
    baseline_seconds_ = chunks.baseline.seconds;
    target_seconds_ = chunks.target.seconds;
    return {};
  }

  // Emulates the format at the suspects that no emulation explains yet. A target that rounds every
  // op gets several samples of the format's noise: at a few positions of some models, huge
  // activations cancel, and one sample says little about another. The prompts that need the fewest
  // positions come first, until the budget (SuspectPositions) is used up. target: nullptr unless
  // the target is a file or an endpoint.
  Status Examine(LogitSource& baseline, LogitSource* target) {
    const uint64_t samples = options_.target_rounding == OpRounding::kNone ? 1 : kNoiseSamples;
    int64_t budget = SuspectPositions(options_.mode);
    for (uint64_t sample = 0; sample < samples; ++sample)
      TRY(ExamineOnce(baseline, target, sample, &budget));
    return {};
  }

  // sample: 0 rounds to nearest; another one is the seed of random rounding.
  Status ExamineOnce(LogitSource& baseline, LogitSource* target, uint64_t sample, int64_t* budget) {
    std::map<int32_t, std::vector<Suspect*>> by_prompt;
    for (Suspect& suspect : suspects_) {
      const PositionRecord& record = positions_[suspect.record];
      if (suspect.emulated && (sample == 0 || Explains(*suspect.emulated, record.target))) continue;
      by_prompt[record.prompt].push_back(&suspect);
    }
    std::vector<std::pair<int64_t, int32_t>> order;  // positions to run, prompt
    for (const auto& [prompt, suspects] : by_prompt)
      order.emplace_back(positions_[suspects.back()->record].position + 1, prompt);
    std::ranges::sort(order);
    int64_t total = 0;
    size_t n_prompts = 0;
    while (n_prompts < order.size() && total + order[n_prompts].first <= *budget)
      total += order[n_prompts++].first;
    if (n_prompts == 0) return {};
    *budget -= total;
    TRY_ASSIGN(const std::unique_ptr<LogitSource> emulation,
               LoadLogitSource(checkpoint_, kReferenceBackend, EmulatedPrecision(options_.target),
                               options_.target_kv, options_.threads, longest_,
                               options_.target_rounding, sample));
    Comparer comparer;
    Chunks chunks;
    int64_t done = 0;
    for (const auto& [n, index] : std::span(order).first(n_prompts)) {
      const auto prompt = static_cast<size_t>(index);
      for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
        const int64_t end = std::min(n, begin + kLogitChunk);
        TRY(Read(&baseline, prompt, begin, end, &chunks.baseline));
        TRY(Read(emulation.get(), prompt, begin, end, &chunks.emulated));
        if (target != nullptr && target->top_k() > 0)
          TRY(Read(target, prompt, begin, end, &chunks.target));
        for (Suspect* suspect : by_prompt[index])
          if (const int64_t at = positions_[suspect->record].position; begin <= at && at < end)
            KeepWorst(CompareEmulated(comparer, chunks, chunks.emulated, at - begin, std::nullopt),
                      suspect);
        Progress("emulation of suspects", done += end - begin, total);
      }
    }
    return {};
  }

  // Keeps the largest errors of the samples.
  static void KeepWorst(const RowMetrics& sample, Suspect* suspect) {
    if (!suspect->emulated) {
      suspect->emulated = sample;
      return;
    }
    RowMetrics& worst = *suspect->emulated;
    worst.hellinger2 = std::max(worst.hellinger2, sample.hellinger2);
    worst.sigma_d = std::max(worst.sigma_d, sample.sigma_d);
  }

  Status Read(LogitSource* source, size_t prompt, int64_t begin, int64_t end,
              LogitChunk* chunk) const {
    TRY(options_.stop.Check());
    return source == nullptr ? Status()
                             : ReadChunk(*source, prompts_[prompt], begin, end, vocab_, chunk);
  }

  std::span<const float> Row(const LogitChunk& chunk, int64_t row) const {
    return chunk.Row(row, vocab_);
  }

  RowMetrics CompareTarget(Comparer& comparer, const Chunks& chunks, int64_t row,
                           std::optional<int32_t> next) const {
    const std::span<const float> baseline = Row(chunks.baseline, row);
    return chunks.target.top ? comparer.rows.Compare(baseline, chunks.target.Listed(row), next)
                             : comparer.rows.Compare(baseline, Row(chunks.target, row), next);
  }

  // Compares the emulated row in the same way as the target's row: if the target lists only some
  // tokens, the emulated row is reduced to the same tokens.
  RowMetrics CompareEmulated(Comparer& comparer, const Chunks& chunks, const LogitChunk& emulated,
                             int64_t row, std::optional<int32_t> next) const {
    const std::span<const float> baseline = Row(chunks.baseline, row);
    if (!chunks.target.top) return comparer.rows.Compare(baseline, Row(emulated, row), next);
    const ListedRow listed = comparer.rows.List(Row(emulated, row), chunks.target.Listed(row).ids,
                                                next, &comparer.logprobs);
    return comparer.rows.Compare(baseline, listed, next);
  }

  void CompareRow(Comparer& comparer, const Chunks& chunks, size_t prompt, int64_t position,
                  int64_t row, PositionRecord* record, ReferenceRecord* reference) const {
    const std::vector<int32_t>& ids = prompts_[prompt].ids;
    const size_t after = static_cast<size_t>(position) + 1, at = static_cast<size_t>(row);
    // The target has chosen the generated tokens itself, so its probabilities there are no sample
    // of its error.
    const std::optional<int32_t> next =
        std::cmp_less(after, prompts_[prompt].asked()) ? std::optional(ids[after]) : std::nullopt;
    *record = {static_cast<int32_t>(prompt), static_cast<int32_t>(position),
               CompareTarget(comparer, chunks, row, next),
               chunks.baseline.finite[at] && chunks.target.finite[at]};
    if (reference == nullptr) return;
    record->finite = record->finite && chunks.emulated.finite[at] &&
                     (reference_ == nullptr || chunks.reference.finite[at]) &&
                     (rounded_ == nullptr || chunks.rounded.finite[at]);
    const std::span<const float> baseline = Row(chunks.baseline, row);
    reference->prompt = static_cast<int32_t>(prompt);
    reference->target = record->target;
    reference->reference = reference_ == nullptr
                               ? record->target
                               : comparer.rows.Compare(Row(chunks.reference, row), baseline, next);
    reference->emulated = CompareEmulated(comparer, chunks, chunks.emulated, row, next);
    reference->rounding =
        rounded_ == nullptr && !chunks.target.top
            ? reference->emulated
            : comparer.rows.Compare(
                  baseline, Row(rounded_ == nullptr ? chunks.emulated : chunks.rounded, row), next);
  }

  void AddFirstToken(Comparer& comparer, const VerifyPrompt& prompt, const Chunks& chunks,
                     int64_t row) {
    const std::span<const float> baseline = Row(chunks.baseline, row);
    const TopMetrics m = chunks.target.top
                             ? comparer.rows.CompareTop(baseline, chunks.target.Listed(row))
                             : comparer.rows.CompareTop(baseline, Row(chunks.target, row));
    first_token_.rows.push_back({prompt.text, TokenText(tokenizer_, m.baseline_top1),
                                 TokenText(tokenizer_, m.target_top1),
                                 m.baseline_top1 == m.target_top1, m.cosine, m.kl, m.js, m.mae,
                                 m.spearman, m.mean_relative_error});
  }

  const Checkpoint& checkpoint_;
  const Checkpoint& original_;  // its fp32 is the baseline
  const Tokenizer& tokenizer_;
  const VerifyOptions& options_;
  const int64_t vocab_;
  std::vector<VerifyPrompt> prompts_;
  std::vector<std::vector<bool>> fresh_;  // FreshPositions of each prompt
  size_t n_reference_ = 0;  // the reference back end runs the first n_reference_ prompts
  int64_t longest_ = 0;     // tokens of the longest prompt
  // The rows of the reference prompts: fp32, the emulated format, and emulated bf16. If reference_
  // is nullptr, the baseline itself is the fp32 reference. If rounded_ is nullptr, emulated_ also
  // holds the emulated bf16 rows.
  std::unique_ptr<LogitSource> reference_, emulated_, rounded_;
  std::vector<PositionRecord> positions_;
  std::vector<ReferenceRecord> references_;
  std::vector<Suspect> suspects_;
  FirstTokenTable first_token_;
  std::optional<Stability> stability_;
  std::optional<ServerPair> pair_;
  double baseline_seconds_ = 0, target_seconds_ = 0;
};

}  // namespace

int VerifyPhases(const VerifyOptions& options) {
  const bool asking = options.endpoint != nullptr;
  const bool reference = options.target != Precision::kFp32 || !options.against.empty() ||
                         !options.target_file.empty() || asking;
  // 3: the emulation, the comparison, the suspects
  const int more = asking ? options.endpoint->stability + options.endpoint->eager.has_value() : 0;
  return 3 + asking + more + reference + !IsPlainBf16(options);
}

Status CheckVocabulary(const Checkpoint& checkpoint) {
  if (checkpoint.config().vocab_size >= 2) return {};
  return Err("{}: vocab_size: expected 2 or more, to compare distributions, found {}",
             checkpoint.path(), checkpoint.config().vocab_size);
}

Result<VerifyResult> Verify(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                            const VerifyOptions& options) {
  return Suite(checkpoint, tokenizer, options).Run();
}

}  // namespace merope

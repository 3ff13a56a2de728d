#include "verify/suite.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "engine/load.h"
#include "verify/figures.h"
#include "verify/logit_source.h"
#include "verify/logits_file.h"
#include "verify/metrics.h"
#include "verify/token_text.h"

namespace merope {
namespace {

// Positions that the reference back end computes, in fp32 and as emulated bf16, at least; and those
// that it computes at most to examine suspects.
int64_t ReferencePositions(VerifyMode mode) { return mode == VerifyMode::kQuick ? 320 : 1000; }
// What the reference back end emulates beside the target: the target's own integers, or bf16.
Precision EmulatedPrecision(Precision target) {
  return target == Precision::kFp32 ? Precision::kBf16 : target;
}
int64_t SuspectPositions(VerifyMode mode) {
  return mode == VerifyMode::kQuick ? 600 : mode == VerifyMode::kDefault ? 4000 : 20000;
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
    result.threads = options_.threads > 0 ? options_.threads : DefaultThreads();
    result.context = checkpoint_.config().max_position_embeddings;
    TRY_ASSIGN(prompts_, BuildPrompts(checkpoint_, tokenizer_, options_.mode));
    TRY(CheckPrompts());
    for (const VerifyPrompt& p : prompts_) longest_ = std::max(longest_, std::ssize(p.ids));
    for (int64_t n = 0; n_reference_ < prompts_.size() && n < ReferencePositions(options_.mode);
         ++n_reference_)
      n += std::ssize(prompts_[n_reference_].ids);

    std::unique_ptr<LogitSource> baseline;
    if (!options_.against.empty()) {
      TRY_ASSIGN(baseline, OpenLogitsFile(options_.against, vocab_));
      // A file without some prompt is refused before the work begins.
      std::vector<float> row(static_cast<size_t>(vocab_));
      for (const VerifyPrompt& p : prompts_) TRY(baseline->Rows(p, 0, 1, row));
    }
    // An fp32 target is compared with the double-sum reference itself; any other with fp32 on the
    // CPU back end, or the file.
    const bool against_reference = options_.target == Precision::kFp32 && options_.against.empty();
    if (!against_reference) {
      TRY_ASSIGN(reference_,
                 ReferenceRows(original_, Precision::kFp32, KvStorage::kAuto, "fp32 reference"));
    }
    const Precision emulated = EmulatedPrecision(options_.target);
    TRY_ASSIGN(emulated_, ReferenceRows(checkpoint_, emulated, options_.target_kv,
                                        std::string(PrecisionName(emulated)) + " emulation"));
    if (emulated != Precision::kBf16 || options_.target_kv != KvStorage::kAuto) {
      TRY_ASSIGN(rounded_,
                 ReferenceRows(original_, Precision::kBf16, KvStorage::kAuto, "bf16 emulation"));
    }
    if (!baseline) {
      TRY_ASSIGN(baseline,
                 LoadLogitSource(original_,
                                 against_reference ? BackendKind::kReference : BackendKind::kCpu,
                                 Precision::kFp32, KvStorage::kAuto, options_.threads, longest_));
    }
    TRY_ASSIGN(std::unique_ptr<LogitSource> target,
               LoadLogitSource(checkpoint_, BackendKind::kCpu, options_.target, options_.target_kv,
                               options_.threads, longest_));
    result.baseline = baseline->name();
    if (&original_ != &checkpoint_) {
      result.baseline += " of " + original_.path();
    } else if (IsOwnInteger(checkpoint_.config().dtype) && options_.against.empty()) {
      result.baseline += " of its own integers (--baseline names the original)";
    }
    result.target = target->name();
    if (options_.target_kv == KvStorage::kInt8) result.target += ", int8 K/V cache";
    TRY(CompareAll(*baseline, *target, result.threads));
    target.reset();
    suspects_ = FindSuspects(positions_, references_);
    TRY(Examine(*baseline));

    const ModelConfig& config = checkpoint_.config();
    result.first_token = std::move(first_token_);
    JudgeFirstToken(&result.first_token);
    result.reference = JudgeReference(
        references_, std::max({config.hidden_size, config.intermediate_size, longest_}));
    result.positions = JudgePositions(positions_, references_, suspects_, prompts_,
                                      result.reference, IsNarrow(options_.target),
                                      [this](int32_t id) { return TokenText(tokenizer_, id); });
    result.verdict = Worse(result.first_token.verdict, result.positions.verdict);
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
    return {};
  }

  std::span<const VerifyPrompt> ReferencePrompts() const {
    return std::span(prompts_).first(n_reference_);
  }

  void Progress(std::string_view phase, int64_t done, int64_t total) const {
    if (options_.progress) options_.progress(phase, done, total);
  }

  // The reference prompts' logits; the model is gone again when they are there.
  Result<std::vector<std::vector<float>>> ReferenceRows(const Checkpoint& checkpoint,
                                                        Precision precision, KvStorage kv,
                                                        std::string_view phase) const {
    int64_t total = 0;
    for (const VerifyPrompt& p : ReferencePrompts()) total += std::ssize(p.ids);
    TRY_ASSIGN(const std::unique_ptr<LogitSource> source,
               LoadLogitSource(checkpoint, BackendKind::kReference, precision, kv, options_.threads,
                               longest_));
    return CollectRows(*source, ReferencePrompts(), vocab_,
                       [&](int64_t done) { Progress(phase, done, total); });
  }

  // Both sources in step, a chunk of positions at a time; the rows of a chunk are compared on all
  // threads.
  Status CompareAll(LogitSource& baseline, LogitSource& target, int threads) {
    ThreadTeam team(threads);
    std::vector<RowComparer> comparers(static_cast<size_t>(team.size()));
    std::vector<float> baseline_rows(static_cast<size_t>(kLogitChunk * vocab_)),
        target_rows(baseline_rows.size());
    int64_t total = 0, done = 0;
    for (const VerifyPrompt& p : prompts_) total += std::ssize(p.ids);
    for (size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
      const int64_t n = std::ssize(prompts_[prompt].ids);
      for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
        const int64_t end = std::min(n, begin + kLogitChunk);
        const auto size = static_cast<size_t>((end - begin) * vocab_);
        TRY(Timed(baseline, prompt, begin, end, std::span(baseline_rows).first(size),
                  &baseline_seconds_));
        TRY(Timed(target, prompt, begin, end, std::span(target_rows).first(size),
                  &target_seconds_));
        const size_t first = positions_.size(), first_reference = references_.size();
        positions_.resize(first + static_cast<size_t>(end - begin));
        if (prompt < n_reference_)
          references_.resize(first_reference + static_cast<size_t>(end - begin));
        team.Run([&](int thread) {
          for (int64_t i = begin + thread; i < end; i += team.size()) {
            const size_t row = static_cast<size_t>(i - begin);
            CompareRow(comparers[static_cast<size_t>(thread)], prompt, i,
                       Row(baseline_rows, i - begin), Row(target_rows, i - begin),
                       &positions_[first + row],
                       prompt < n_reference_ ? &references_[first_reference + row] : nullptr);
          }
        });
        if (end == n && prompt < ReportPrompts().size())
          AddFirstToken(comparers[0], prompts_[prompt], Row(baseline_rows, n - 1 - begin),
                        Row(target_rows, n - 1 - begin));
        Progress("comparing", done += end - begin, total);
      }
    }
    return {};
  }

  // Emulates bf16 at suspects that have not been, those nearest to the start of their prompts
  // first, while the budget lasts.
  Status Examine(LogitSource& baseline) {
    std::map<int32_t, std::vector<Suspect*>> by_prompt;
    for (Suspect& suspect : suspects_)
      if (!suspect.emulated) by_prompt[positions_[suspect.record].prompt].push_back(&suspect);
    std::vector<std::pair<int64_t, int32_t>> order;  // positions to run, prompt
    for (const auto& [prompt, suspects] : by_prompt)
      order.emplace_back(positions_[suspects.back()->record].position + 1, prompt);
    std::ranges::sort(order);
    int64_t total = 0;
    size_t n_prompts = 0;
    while (n_prompts < order.size() &&
           total + order[n_prompts].first <= SuspectPositions(options_.mode))
      total += order[n_prompts++].first;
    if (n_prompts == 0) return {};
    TRY_ASSIGN(
        const std::unique_ptr<LogitSource> emulation,
        LoadLogitSource(checkpoint_, BackendKind::kReference, EmulatedPrecision(options_.target),
                        options_.target_kv, options_.threads, longest_));
    RowComparer comparer;
    std::vector<float> baseline_rows(static_cast<size_t>(kLogitChunk * vocab_)),
        emulated_rows(baseline_rows.size());
    int64_t done = 0;
    for (const auto& [n, index] : std::span(order).first(n_prompts)) {
      const VerifyPrompt& prompt = prompts_[static_cast<size_t>(index)];
      for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
        const int64_t end = std::min(n, begin + kLogitChunk);
        const auto size = static_cast<size_t>((end - begin) * vocab_);
        TRY(baseline.Rows(prompt, begin, end, std::span(baseline_rows).first(size)));
        TRY(emulation->Rows(prompt, begin, end, std::span(emulated_rows).first(size)));
        for (Suspect* suspect : by_prompt[index])
          if (const int64_t at = positions_[suspect->record].position; begin <= at && at < end)
            suspect->emulated = comparer.Compare(Row(baseline_rows, at - begin),
                                                 Row(emulated_rows, at - begin), std::nullopt);
        Progress("bf16 emulation of suspects", done += end - begin, total);
      }
    }
    return {};
  }

  Status Timed(LogitSource& source, size_t prompt, int64_t begin, int64_t end,
               std::span<float> rows, double* seconds) const {
    const Stopwatch watch;
    TRY(source.Rows(prompts_[prompt], begin, end, rows));
    *seconds += watch.Seconds();
    return {};
  }

  std::span<const float> Row(const std::vector<float>& rows, int64_t row) const {
    return std::span(rows).subspan(static_cast<size_t>(row * vocab_), static_cast<size_t>(vocab_));
  }

  void CompareRow(RowComparer& comparer, size_t prompt, int64_t position,
                  std::span<const float> baseline, std::span<const float> target,
                  PositionRecord* record, ReferenceRecord* reference) const {
    const std::vector<int32_t>& ids = prompts_[prompt].ids;
    const size_t after = static_cast<size_t>(position) + 1;
    const std::optional<int32_t> next =
        after < ids.size() ? std::optional(ids[after]) : std::nullopt;
    const RowMetrics metrics = comparer.Compare(baseline, target, next);
    *record = {static_cast<int32_t>(prompt), static_cast<int32_t>(position), metrics};
    if (reference == nullptr) return;
    reference->prompt = static_cast<int32_t>(prompt);
    reference->target = metrics;
    reference->reference =
        reference_.empty() ? metrics
                           : comparer.Compare(Row(reference_[prompt], position), baseline, next);
    reference->emulated = comparer.Compare(baseline, Row(emulated_[prompt], position), next);
    reference->rounding = rounded_.empty()
                              ? reference->emulated
                              : comparer.Compare(baseline, Row(rounded_[prompt], position), next);
  }

  void AddFirstToken(RowComparer& comparer, const VerifyPrompt& prompt,
                     std::span<const float> baseline, std::span<const float> target) {
    const TopMetrics m = comparer.CompareTop(baseline, target);
    first_token_.rows.push_back({prompt.text, TokenText(tokenizer_, m.baseline_top1),
                                 TokenText(tokenizer_, m.target_top1),
                                 m.baseline_top1 == m.target_top1, m.cosine, m.kl, m.js, m.mae,
                                 m.spearman, m.mean_relative_error});
  }

  const Checkpoint& checkpoint_;
  const Checkpoint& original_;  // whose fp32 is the baseline
  const Tokenizer& tokenizer_;
  const VerifyOptions& options_;
  const int64_t vocab_;
  std::vector<VerifyPrompt> prompts_;
  size_t n_reference_ = 0;  // the first so many prompts go through the reference back end
  int64_t longest_ = 0;
  std::vector<std::vector<float>> reference_, emulated_,
      rounded_;  // by prompt: (positions, vocab); reference_ empty: it is the baseline
  std::vector<PositionRecord> positions_;
  std::vector<ReferenceRecord> references_;
  std::vector<Suspect> suspects_;
  FirstTokenTable first_token_;
  double baseline_seconds_ = 0, target_seconds_ = 0;
};

}  // namespace

int VerifyPhases(const VerifyOptions& options) {
  const bool reference = options.target != Precision::kFp32 || !options.against.empty();
  const bool rounded = EmulatedPrecision(options.target) != Precision::kBf16 ||
                       options.target_kv != KvStorage::kAuto;
  return 3 + reference + rounded;  // beside the emulation, the comparison and the suspects
}

Result<VerifyResult> Verify(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                            const VerifyOptions& options) {
  return Suite(checkpoint, tokenizer, options).Run();
}

}  // namespace merope

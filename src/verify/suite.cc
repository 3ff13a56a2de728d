#include "verify/suite.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "engine/load.h"
#include "verify/comparison.h"
#include "verify/figures.h"
#include "verify/kept_rows.h"
#include "verify/logit_source.h"
#include "verify/logits_file.h"
#include "verify/numerics.h"
#include "verify/suspects.h"
#include "verify/user_prompts.h"

namespace merope {
namespace {

// An endpoint's rows list few tokens, so that some gates see only a part of them.
int64_t ReferencePositionsOf(const VerifyOptions& options) {
  const int64_t positions = ReferencePositions(options.mode);
  return options.mode == VerifyMode::kQuick && options.endpoint != nullptr ? 2 * positions
                                                                           : positions;
}

// Whether the emulated format is bf16 as merope computes it.
bool IsPlainBf16(const VerifyOptions& options) {
  return EmulatedPrecision(options.target) == Precision::kBf16 &&
         options.target_kv == KvStorage::kAuto && options.target_rounding == OpRounding::kNone;
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
    TRY_ASSIGN(std::vector<VerifyPrompt> prompts,
               BuildPrompts(checkpoint_, tokenizer_, options_.mode));
    if (!options_.prompts.empty())
      TRY(AddUserPrompts(options_.prompts, tokenizer_, result.context, &prompts));
    TRY(CheckOriginal());
    TRY(CheckPrompts(checkpoint_, prompts));
    std::unique_ptr<LogitSource> baseline, target;
    if (options_.endpoint != nullptr) {
      TRY_ASSIGN(target, AskEndpoint(options_.endpoint->endpoint, options_.endpoint->ask, vocab_,
                                     &prompts, Phase("asking the endpoint")));
      TRY(CheckPrompts(checkpoint_, prompts));
    }
    prompts_ = ArrangePrompts(std::move(prompts), vocab_, ReferencePositionsOf(options_));

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
      TRY_ASSIGN(
          baseline,
          LoadLogitSource(original_, against_reference ? kReferenceBackend : kCpuBackend,
                          Precision::kFp32, KvStorage::kAuto, options_.threads, prompts_.longest));
    }
    if (!target) {
      TRY_ASSIGN(target, LoadLogitSource(checkpoint_, kCpuBackend, options_.target,
                                         options_.target_kv, options_.threads, prompts_.longest));
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
    ComparedRecords records;
    {
      Comparison comparison(prompts_, tokenizer_, result.threads);
      TRY(comparison.Compare(
          {baseline.get(), target.get(), reference_.get(), emulated_.get(), rounded_.get()},
          nullptr, 0, prompts_.prompts.size(), Phase("comparing"), &records));
    }
    if (!foreign_target) target.reset();
    TRY_ASSIGN(const std::vector<Suspect> suspects,
               ExamineSuspects(records, *baseline, target.get()));
    const double n = static_cast<double>(records.positions.size());
    result.baseline_tokens_per_second = n / records.baseline_seconds;
    result.target_tokens_per_second = n / records.target_seconds;
    Judgment judgment =
        JudgeRecords(prompts_, prompts_.prompts.size(), checkpoint_.config(), tokenizer_,
                     IsNarrow(options_.target) || options_.target_rounding != OpRounding::kNone,
                     std::move(records), suspects);
    result.first_token = std::move(judgment.first_token);
    result.reference = judgment.reference;
    result.positions = std::move(judgment.positions);
    result.verdict = judgment.verdict;
    if (options_.endpoint != nullptr) {
      result.endpoint = DescribeTarget(*options_.endpoint);
      result.verdict = Worse(result.verdict, result.endpoint->verdict);
    }
    result.seconds = watch.Seconds();
    return result;
  }

 private:
  Status CheckOriginal() const {
    if (original_.config().vocab_size == vocab_) return {};
    return Err("{}: vocab_size: expected {} as in {}, found {}", original_.path(), vocab_,
               checkpoint_.path(), original_.config().vocab_size);
  }

  // Refuses a file that lacks a prompt, before the long work begins.
  Status CheckFile(LogitSource& file) const {
    std::vector<float> row(static_cast<size_t>(vocab_));
    for (const VerifyPrompt& p : prompts_.prompts) {
      if (file.top_k() > 0) {
        TRY(file.Top(p, 0, std::ssize(p.ids)));
      } else {
        TRY(file.Rows(p, 0, 1, row));
      }
    }
    return {};
  }

  PositionProgress Phase(std::string_view phase) const {
    return [this, phase = std::string(phase)](int64_t done, int64_t total) {
      if (options_.progress) options_.progress(phase, done, total);
    };
  }

  // Computes the logits of the reference prompts on the reference back end, and keeps them in a
  // file. The model is freed before the function returns.
  Result<std::unique_ptr<LogitSource>> ReferenceRows(
      const Checkpoint& checkpoint, Precision precision, KvStorage kv, std::string_view phase,
      OpRounding rounding = OpRounding::kNone) const {
    int64_t total = 0;
    for (const VerifyPrompt& p : prompts_.referenced()) total += std::ssize(p.ids);
    TRY_ASSIGN(const std::unique_ptr<LogitSource> source,
               LoadLogitSource(checkpoint, kReferenceBackend, precision, kv, options_.threads,
                               prompts_.longest, rounding));
    return KeepRows(*source, prompts_.referenced(), vocab_,
                    [&, progress = Phase(phase)](int64_t done) { progress(done, total); });
  }

  // target: nullptr unless the target is a file or an endpoint.
  Result<std::vector<Suspect>> ExamineSuspects(const ComparedRecords& records,
                                               LogitSource& baseline, LogitSource* target) const {
    std::vector<Suspect> suspects = FindSuspects(records.positions, records.references);
    const Examination examination{
        prompts_, &baseline, target != nullptr && target->top_k() > 0 ? target : nullptr,
        [this](uint64_t sample) -> Result<std::shared_ptr<LogitSource>> {
          return LoadLogitSource(checkpoint_, kReferenceBackend, EmulatedPrecision(options_.target),
                                 options_.target_kv, options_.threads, prompts_.longest,
                                 options_.target_rounding, sample);
        },
        Phase("emulation of suspects")};
    int64_t budget = SuspectPositions(options_.mode);
    for (uint64_t sample = 0; sample < NoiseSamples(options_.target_rounding); ++sample)
      TRY(Examine(examination, records.positions, sample, &budget, &suspects));
    return suspects;
  }

  const Checkpoint& checkpoint_;
  const Checkpoint& original_;  // its fp32 is the baseline
  const Tokenizer& tokenizer_;
  const VerifyOptions& options_;
  const int64_t vocab_;
  SuitePrompts prompts_;
  // The rows of the reference prompts: fp32, the emulated format, and emulated bf16. If reference_
  // is nullptr, the baseline itself is the fp32 reference. If rounded_ is nullptr, emulated_ also
  // holds the emulated bf16 rows.
  std::unique_ptr<LogitSource> reference_, emulated_, rounded_;
};

}  // namespace

int VerifyPhases(const VerifyOptions& options) {
  const bool asking = options.endpoint != nullptr;
  const bool reference = options.target != Precision::kFp32 || !options.against.empty() ||
                         !options.target_file.empty() || asking;
  // 3: the emulation, the comparison, the suspects
  return 3 + asking + reference + !IsPlainBf16(options);
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

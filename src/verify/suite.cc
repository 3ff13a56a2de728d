#include "verify/suite.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "engine/load.h"
#include "verify/bundle.h"
#include "verify/comparison.h"
#include "verify/free_run.h"
#include "verify/inputs.h"
#include "verify/kept_rows.h"
#include "verify/logit_source.h"
#include "verify/logits_file.h"
#include "verify/numerics.h"
#include "verify/token_text.h"
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

// A file of logits has no rows of texts that it does not know.
bool HasFreeRun(const VerifyOptions& options) {
  return FreeRunTokens(options.mode) > 0 && options.endpoint == nullptr &&
         options.target_file.empty() && options.against.empty();
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
    TRY_ASSIGN(SuiteInputs inputs, Gather());
    if (options_.bundle != nullptr) inputs.names = options_.bundle->RecordNames(inputs.names);
    const VerifyResult stated = inputs.stated;
    const std::vector<VerifyPrompt> prompts = inputs.prompts.prompts;
    TRY_ASSIGN(
        VerifyResult result,
        JudgeInputs(std::move(inputs), {options_.progress, options_.stop, options_.listed_row}));
    if (kept_seconds_) {
      const double n = static_cast<double>(result.positions.positions);
      result.baseline_tokens_per_second = n / kept_seconds_->first;
      result.target_tokens_per_second = n / kept_seconds_->second;
    }
    result.seconds = watch.Seconds();
    if (options_.bundle != nullptr)
      TRY(options_.bundle->Finish(checkpoint_, options_, reference_positions(), asked_, prompts,
                                  result));
    return result;
  }

 private:
  int64_t reference_positions() const { return ReferencePositionsOf(options_); }

  // The name of a file in the bundle; empty if there is no bundle.
  std::string InBundle(std::string_view name) const {
    return options_.bundle == nullptr ? "" : options_.bundle->Path(name);
  }

  Result<SuiteInputs> Gather() {
    SuiteInputs inputs;
    VerifyResult& stated = inputs.stated;
    stated.mode = options_.mode;
    stated.model = checkpoint_.path();
    stated.target_precision = options_.target;
    stated.target_rounding = options_.target_rounding;
    stated.threads = options_.threads > 0 ? options_.threads : DefaultThreads();
    stated.context = checkpoint_.config().max_position_embeddings;
    inputs.config = checkpoint_.config();
    inputs.names = TokenNamesOf(tokenizer_);
    TRY(CheckVocabulary(checkpoint_));
    TRY_ASSIGN(std::vector<VerifyPrompt> prompts,
               AllPrompts(checkpoint_, tokenizer_, options_.mode, options_.prompts));
    TRY(CheckOriginal());
    TRY(CheckPrompts(checkpoint_.path(), checkpoint_.config(), prompts));
    std::unique_ptr<LogitSource>&baseline = inputs.baseline, &target = inputs.target;
    if (options_.endpoint != nullptr) {
      asked_ = prompts;
      TRY_ASSIGN(AskedServer asked,
                 AskServer(*options_.endpoint, options_.mode, &prompts,
                           [this](std::string_view name) { return Phase(name); }));
      target = std::move(asked.rows);
      stated.endpoint = DescribeTarget(*options_.endpoint);
      stated.endpoint->stability = std::move(asked.stability);
      stated.endpoint->eager = std::move(asked.pair);
      TRY(CheckPrompts(checkpoint_.path(), checkpoint_.config(), prompts));
    }
    if (HasFreeRun(options_)) TRY(AddFreeRuns(&prompts));
    inputs.prompts = ArrangePrompts(std::move(prompts), vocab_, reference_positions());
    prompts_ = &inputs.prompts;

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
    inputs.own_target = target == nullptr;
    // The baseline is the file if there is one. Otherwise the baseline is the double-precision
    // reference for an fp32 target that the suite runs itself, and fp32 on the CPU back end for any
    // other target.
    const bool against_reference =
        options_.target == Precision::kFp32 && baseline == nullptr && inputs.own_target;
    if (!against_reference) {
      TRY_ASSIGN(inputs.reference, ReferenceRows(original_, Precision::kFp32, KvStorage::kAuto,
                                                 "fp32 reference", "reference.f32"));
    }
    const Precision emulated = EmulatedPrecision(options_.target);
    TRY_ASSIGN(inputs.emulated,
               ReferenceRows(checkpoint_, emulated, options_.target_kv,
                             NumericsName(emulated, options_.target_rounding) + " emulation",
                             "emulated.f32", options_.target_rounding));
    if (!IsPlainBf16(options_)) {
      TRY_ASSIGN(inputs.rounded, ReferenceRows(original_, Precision::kBf16, KvStorage::kAuto,
                                               "bf16 emulation", "rounded.f32"));
    }
    if (!baseline) {
      TRY_ASSIGN(
          baseline,
          LoadLogitSource(original_, against_reference ? kReferenceBackend : kCpuBackend,
                          Precision::kFp32, KvStorage::kAuto, options_.threads, prompts_->longest));
    }
    stated.baseline = baseline->name();
    if (&original_ != &checkpoint_) {
      stated.baseline += " of " + original_.path();
    } else if (IsOwnInteger(checkpoint_.config().dtype) && options_.against.empty()) {
      stated.baseline += " of its own integers (--baseline names the original)";
    }
    std::pair<double, double> seconds;
    if (options_.bundle != nullptr) TRY(Keep("baseline.f32", &baseline, &seconds.first));
    if (!target) {
      TRY_ASSIGN(target, LoadLogitSource(checkpoint_, kCpuBackend, options_.target,
                                         options_.target_kv, options_.threads, prompts_->longest));
    }
    stated.target = target->name();
    if (options_.target_kv == KvStorage::kInt8 && inputs.own_target)
      stated.target += ", int8 K/V cache";
    if (options_.bundle != nullptr && target->top_k() == 0) {
      TRY(Keep("target.f32", &target, &seconds.second));
      kept_seconds_ = seconds;
    }
    inputs.emulation = [this, longest = prompts_->longest](
                           uint64_t sample) -> Result<std::shared_ptr<LogitSource>> {
      TRY_ASSIGN(std::unique_ptr<LogitSource> source,
                 LoadLogitSource(checkpoint_, kReferenceBackend, EmulatedPrecision(options_.target),
                                 options_.target_kv, options_.threads, longest,
                                 options_.target_rounding, sample));
      if (options_.bundle == nullptr) return source;
      return options_.bundle->RecordSample(sample, std::move(source), vocab_);
    };
    return inputs;
  }

  // The target is freed before the models of the reference are loaded.
  Status AddFreeRuns(std::vector<VerifyPrompt>* prompts) const {
    const int64_t tokens = FreeRunTokens(options_.mode);
    int64_t longest = 0;
    for (const VerifyPrompt& p : *prompts) longest = std::max(longest, std::ssize(p.ids));
    const int64_t context = checkpoint_.config().max_position_embeddings;
    TRY_ASSIGN(const std::unique_ptr<LogitSource> target,
               LoadLogitSource(checkpoint_, kCpuBackend, options_.target, options_.target_kv,
                               options_.threads, std::min(context, longest + tokens)));
    return AppendFreeRuns(
        *target, vocab_, context, tokens,
        [this, progress = Phase("free run")](int64_t done) {
          progress(done, std::ssize(ReportPrompts()));
          return options_.stop.Check();
        },
        prompts);
  }

  // Replaces the source by its rows in a file of the bundle.
  Status Keep(std::string_view file, std::unique_ptr<LogitSource>* source, double* seconds) const {
    int64_t total = 0;
    for (const VerifyPrompt& p : prompts_->prompts) total += std::ssize(p.ids);
    const Stopwatch watch;
    TRY_ASSIGN(*source, KeepRows(
                            **source, prompts_->prompts, vocab_,
                            [&, progress = Phase(fmt::format("keeping {}", file))](int64_t done) {
                              progress(done, total);
                              return options_.stop.Check();
                            },
                            InBundle(file)));
    *seconds = watch.Seconds();
    return {};
  }

  Status CheckOriginal() const {
    if (original_.config().vocab_size == vocab_) return {};
    return Err("{}: vocab_size: expected {} as in {}, found {}", original_.path(), vocab_,
               checkpoint_.path(), original_.config().vocab_size);
  }

  // Refuses a file that lacks a prompt, before the long work begins.
  Status CheckFile(LogitSource& file) const {
    std::vector<float> row(static_cast<size_t>(vocab_));
    for (const VerifyPrompt& p : prompts_->prompts) {
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
      std::string_view file, OpRounding rounding = OpRounding::kNone) const {
    int64_t total = 0;
    for (const VerifyPrompt& p : prompts_->referenced()) total += std::ssize(p.ids);
    TRY_ASSIGN(const std::unique_ptr<LogitSource> source,
               LoadLogitSource(checkpoint, kReferenceBackend, precision, kv, options_.threads,
                               prompts_->longest, rounding));
    return KeepRows(
        *source, prompts_->referenced(), vocab_,
        [&, progress = Phase(phase)](int64_t done) {
          progress(done, total);
          return options_.stop.Check();
        },
        InBundle(file));
  }

  const Checkpoint& checkpoint_;
  const Checkpoint& original_;  // its fp32 is the baseline
  const Tokenizer& tokenizer_;
  const VerifyOptions& options_;
  const int64_t vocab_;
  const SuitePrompts* prompts_ = nullptr;  // of the inputs, while Gather runs
  std::vector<VerifyPrompt> asked_;        // the prompts before a server's answers
  // With a bundle: the seconds that it took to compute the baseline's and the target's rows.
  std::optional<std::pair<double, double>> kept_seconds_;
};

}  // namespace

int VerifyPhases(const VerifyOptions& options) {
  const bool asking = options.endpoint != nullptr;
  const bool reference = options.target != Precision::kFp32 || !options.against.empty() ||
                         !options.target_file.empty() || asking;
  // 3: the emulation, the comparison, the suspects
  const int more = asking ? options.endpoint->stability + options.endpoint->eager.has_value() : 0;
  const int kept = options.bundle == nullptr ? 0 : asking ? 1 : 2;  // baseline, target
  return 3 + asking + more + kept + reference + !IsPlainBf16(options) + HasFreeRun(options);
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

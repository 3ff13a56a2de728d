#include "verify/self_test.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "verify/comparison.h"
#include "verify/kept_rows.h"
#include "verify/mutant_source.h"
#include "verify/suite.h"
#include "verify/suspects.h"
#include "verify/token_text.h"

namespace merope {
namespace {

// As `merope verify --quick` does.
constexpr VerifyMode kSelfTestMode = VerifyMode::kQuick;

// Whether the emulated format is bf16 as merope computes it.
bool IsBf16(const SelfTestOptions& options) {
  return EmulatedPrecision(options.numerics.precision) == Precision::kBf16 &&
         options.numerics.rounding == OpRounding::kNone && options.kv == KvStorage::kAuto;
}
bool IsFp32(const SelfTestOptions& options) {
  return options.numerics.precision == Precision::kFp32;
}

std::vector<const Mutant*> Chosen(const SelfTestOptions& options) {
  std::vector<const Mutant*> chosen;
  for (const Mutant& mutant : Mutants())
    if (options.mutants.empty() ||
        std::ranges::find(options.mutants, mutant.key) != options.mutants.end())
      chosen.push_back(&mutant);
  return chosen;
}

// Rows that somebody else keeps.
class BorrowedRows : public LogitSource {
 public:
  explicit BorrowedRows(LogitSource& rows) : rows_(rows) {}
  std::string name() const override { return rows_.name(); }
  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override {
    return rows_.Rows(prompt, begin, end, rows);
  }

 private:
  LogitSource& rows_;
};

std::vector<std::string> Failed(const std::vector<GateResult>& gates) {
  std::vector<std::string> keys;
  for (const GateResult& gate : gates)
    if (gate.verdict == Verdict::kFail) keys.push_back(gate.key);
  return keys;
}

class SelfTester {
 public:
  SelfTester(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
             const SelfTestOptions& options)
      : checkpoint_(checkpoint),
        tokenizer_(tokenizer),
        options_(options),
        threads_(options.threads > 0 ? options.threads : DefaultThreads()) {}

  Result<SelfTestResult> Run() {
    const Stopwatch watch;
    TRY(CheckVocabulary(checkpoint_));
    TRY_ASSIGN(std::vector<VerifyPrompt> prompts,
               BuildPrompts(checkpoint_, tokenizer_, kSelfTestMode));
    TRY(CheckPrompts(checkpoint_.path(), checkpoint_.config(), prompts));
    prompts_ = ArrangePrompts(std::move(prompts), checkpoint_.config().vocab_size,
                              ReferencePositions(kSelfTestMode));
    TRY(KeepSharedRows());

    SelfTestResult result;
    result.model = checkpoint_.path();
    result.numerics = NumericsName(options_.numerics.precision, options_.numerics.rounding);
    result.threads = threads_;
    result.prompts = std::ssize(prompts_.prompts);
    Comparison comparison(prompts_, TokenNamesOf(tokenizer_), threads_);
    TRY_ASSIGN(result.control, RunOne(nullptr, comparison, &result.target));
    result.positions = std::ssize(control_.positions);
    for (const Mutant* mutant : Chosen(options_)) {
      TRY_ASSIGN(MutantResult one, RunOne(mutant, comparison, nullptr));
      result.mutants.push_back(std::move(one));
    }
    result.seconds = watch.Seconds();
    return result;
  }

 private:
  PositionProgress Phase(std::string_view phase) const {
    return [this, phase = std::string(phase)](int64_t done, int64_t total) {
      if (options_.progress) options_.progress(phase, done, total);
    };
  }

  MutantOptions Target() const {
    return {options_.numerics, options_.kv, threads_, prompts_.longest};
  }

  // The rows that all mutants share.
  Status KeepSharedRows() {
    const std::span<const VerifyPrompt> all = prompts_.prompts, first = prompts_.referenced();
    const auto keep = [&](std::string_view phase, std::string_view backend, Precision precision,
                          KvStorage kv, OpRounding rounding,
                          std::span<const VerifyPrompt> prompts) {
      return Keep(phase,
                  LoadLogitSource(checkpoint_, backend, precision, kv, threads_, prompts_.longest,
                                  rounding),
                  prompts);
    };
    const auto plain = [&](std::string_view phase, std::string_view backend, Precision precision,
                           std::span<const VerifyPrompt> prompts) {
      return keep(phase, backend, precision, KvStorage::kAuto, OpRounding::kNone, prompts);
    };
    if (IsFp32(options_)) {  // the baseline is the reference itself
      TRY_ASSIGN(baseline_, plain("fp32 reference", kReferenceBackend, Precision::kFp32, all));
    } else {
      TRY_ASSIGN(reference_, plain("fp32 reference", kReferenceBackend, Precision::kFp32, first));
      TRY_ASSIGN(baseline_, plain("fp32 baseline", kCpuBackend, Precision::kFp32, all));
    }
    TRY_ASSIGN(emulated_, keep("emulation", kReferenceBackend, Emulated(), options_.kv,
                               options_.numerics.rounding, all));
    if (!IsBf16(options_)) {
      TRY_ASSIGN(rounded_, plain("bf16 emulation", kReferenceBackend, Precision::kBf16, first));
    }
    return {};
  }

  Result<std::unique_ptr<LogitSource>> Keep(std::string_view phase,
                                            Result<std::unique_ptr<LogitSource>> source,
                                            std::span<const VerifyPrompt> prompts) const {
    if (!source) return source;
    int64_t total = 0;
    for (const VerifyPrompt& p : prompts) total += std::ssize(p.ids);
    return KeepRows(**source, prompts, prompts_.vocab,
                    [&, progress = Phase(phase)](int64_t done) -> Status {
                      progress(done, total);
                      return {};
                    });
  }

  Precision Emulated() const { return EmulatedPrecision(options_.numerics.precision); }

  // mutant: nullptr for the control, which comes first. target: gets the name of the target.
  Result<MutantResult> RunOne(const Mutant* mutant, Comparison& comparison, std::string* target) {
    const Stopwatch watch;
    MutantResult result;
    result.key = mutant == nullptr ? "control" : mutant->key;
    result.area = mutant == nullptr ? "" : mutant->area;
    result.description = mutant == nullptr ? "no change" : mutant->description;
    if (mutant != nullptr) {
      result.why = WhyNotApplicable(*mutant, checkpoint_.config());
      result.fate = Fate::kNotApplicable;
      if (!result.why.empty()) return result;
    }
    const std::string phase = mutant == nullptr ? "control" : fmt::format("mutant {}", mutant->key);
    ComparedRecords records;
    {
      TRY_ASSIGN(const std::unique_ptr<LogitSource> rows,
                 LoadMutant(checkpoint_, mutant, Target()));
      if (target != nullptr) {
        *target = rows->name();
        if (options_.numerics.rounding != OpRounding::kNone)
          *target += ", every op's result rounded";
      }
      TRY(comparison.Compare(
          {baseline_.get(), rows.get(), reference_.get(), emulated_.get(), rounded_.get()},
          mutant == nullptr ? nullptr : &control_, 0, prompts_.prompts.size(), Phase(phase),
          &records));
    }
    if (mutant == nullptr) control_ = records;
    TRY_ASSIGN(const Judgment judgment, Judge(records));
    result.first_token = judgment.first_token.verdict;
    result.positions = judgment.positions.verdict;
    result.first_token_gates = Failed(judgment.first_token.gates);
    result.position_gates = Failed(judgment.positions.gates);
    result.kl = std::ranges::find(judgment.positions.figures, "kl", &PositionFigure::key)->mean;
    const auto ratio = std::ranges::find(judgment.positions.gates, "sigma_ratio", &GateResult::key);
    if (ratio != judgment.positions.gates.end()) result.sigma_ratio = ratio->value;
    result.fate = judgment.positions.verdict == Verdict::kFail ? Fate::kKilled : Fate::kSurvived;
    if (mutant != nullptr && result.fate == Fate::kSurvived) {
      TRY_ASSIGN(result.fp32_kl, KlInFp32(*mutant));
      if (*result.fp32_kl < kEquivalentKl) result.fate = Fate::kEquivalent;
    }
    result.seconds = watch.Seconds();
    return result;
  }

  // Judges the records as the suite does. Further samples of the format's noise can only acquit:
  // they are computed only while the two gates that examine suspects alone say FAIL.
  Result<Judgment> Judge(const ComparedRecords& records) const {
    std::vector<Suspect> suspects = FindSuspects(records.positions, records.references);
    const Examination examination{
        prompts_, baseline_.get(), nullptr,
        [this](uint64_t sample) -> Result<std::shared_ptr<LogitSource>> {
          if (sample == 0) return std::make_shared<BorrowedRows>(*emulated_);
          return LoadLogitSource(checkpoint_, kReferenceBackend, Emulated(), options_.kv, threads_,
                                 prompts_.longest, options_.numerics.rounding, sample);
        },
        [](int64_t, int64_t) {}};
    int64_t budget = SuspectPositions(kSelfTestMode);
    Judgment judgment;
    for (uint64_t sample = 0; sample < NoiseSamples(options_.numerics.rounding); ++sample) {
      TRY(Examine(examination, records.positions, sample, &budget, &suspects));
      judgment = JudgeRecords(
          prompts_, prompts_.prompts.size(), checkpoint_.config(), TokenNamesOf(tokenizer_),
          IsNarrow(options_.numerics.precision) || options_.numerics.rounding != OpRounding::kNone,
          records, suspects);
      const std::vector<std::string> failed = Failed(judgment.positions.gates);
      if (failed.empty() || !std::ranges::all_of(failed, [](const std::string& key) {
            return key == "unexplained_flips" || key == "bhattacharyya_outliers";
          }))
        break;
    }
    return judgment;
  }

  // The mean KL of the mutant's fp32 against the model's fp32.
  Result<double> KlInFp32(const Mutant& mutant) const {
    MutantOptions options = Target();
    options.numerics = {.precision = Precision::kFp32};
    options.kv = KvStorage::kAuto;
    TRY_ASSIGN(const std::unique_ptr<LogitSource> source,
               LoadMutant(checkpoint_, &mutant, options));
    RowComparer comparer;
    LogitChunk changed, baseline;
    double sum = 0, n = 0;
    for (size_t i = 0; i < prompts_.prompts.size(); ++i) {
      const VerifyPrompt& prompt = prompts_.prompts[i];
      for (int64_t begin = 0, end; begin < std::ssize(prompt.ids); begin = end) {
        end = std::min(std::ssize(prompt.ids), begin + kLogitChunk);
        TRY(ReadChunk(*baseline_, prompt, begin, end, prompts_.vocab, &baseline));
        TRY(ReadChunk(*source, prompt, begin, end, prompts_.vocab, &changed));
        for (int64_t at = begin; at < end; ++at) {
          if (!prompts_.fresh[i][static_cast<size_t>(at)]) continue;
          sum += comparer
                     .Compare(baseline.Row(at - begin, prompts_.vocab),
                              changed.Row(at - begin, prompts_.vocab), std::nullopt)
                     .kl;
          n += 1;
        }
      }
    }
    return sum / n;
  }

  const Checkpoint& checkpoint_;
  const Tokenizer& tokenizer_;
  const SelfTestOptions& options_;
  const int threads_;
  SuitePrompts prompts_;
  std::unique_ptr<LogitSource> baseline_, reference_, emulated_, rounded_;
  ComparedRecords control_;
};

}  // namespace

std::string_view FateName(Fate fate) {
  constexpr std::string_view kNames[] = {"killed", "survived", "equivalent", "killed in fp32",
                                         "not applicable"};
  return kNames[static_cast<size_t>(fate)];
}

int64_t SelfTestResult::Count(Fate fate) const {
  return std::ranges::count(mutants, fate, &MutantResult::fate);
}

int64_t SelfTestResult::MissedByFirstToken() const {
  return std::ranges::count_if(mutants, [](const MutantResult& m) {
    return m.fate == Fate::kKilled && m.first_token != Verdict::kFail;
  });
}

bool SelfTestResult::passed() const {
  return Count(Fate::kSurvived) == 0 && control.fate != Fate::kKilled;
}

Result<std::vector<std::string>> ParseMutants(std::string_view list) {
  std::vector<std::string> keys;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view key = list.substr(begin, end - begin);
    if (FindMutant(key) == nullptr) {
      std::vector<std::string_view> known;
      for (const Mutant& mutant : Mutants()) known.push_back(mutant.key);
      return FieldErr("mutants", "expected keys of mutants, separated by commas ({}), found \"{}\"",
                      fmt::join(known, ", "), key);
    }
    keys.emplace_back(key);
    begin = end + 1;
  }
  return keys;
}

Result<SelfTestResult> SelfTest(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                const SelfTestOptions& options) {
  TRY_ASSIGN(SelfTestResult result, SelfTester(checkpoint, tokenizer, options).Run());
  if (IsFp32(options) || options.numerics.rounding != OpRounding::kNone) return result;
  SelfTestOptions exact = options;
  exact.numerics = {.precision = Precision::kFp32};
  exact.kv = KvStorage::kAuto;
  exact.mutants.clear();
  for (const MutantResult& m : result.mutants)
    if (m.fate == Fate::kSurvived) exact.mutants.push_back(m.key);
  if (exact.mutants.empty()) return result;
  TRY_ASSIGN(const SelfTestResult in_fp32, SelfTester(checkpoint, tokenizer, exact).Run());
  result.seconds += in_fp32.seconds;
  if (in_fp32.control.fate == Fate::kKilled) return result;
  for (const MutantResult& found : in_fp32.mutants) {
    if (found.fate != Fate::kKilled) continue;
    MutantResult& m = *std::ranges::find(result.mutants, found.key, &MutantResult::key);
    m.fate = Fate::kKilledInFp32;
    m.first_token_gates = found.first_token_gates;
    m.position_gates = found.position_gates;
  }
  return result;
}

OrderedJson ToJson(const SelfTestResult& result) {
  const auto one = [](const MutantResult& m) {
    const bool run = m.fate != Fate::kNotApplicable;
    return OrderedJson{
        {"key", m.key},
        {"area", m.area},
        {"description", m.description},
        {"fate", FateName(m.fate)},
        {"why", m.why},
        {"first_token_verdict", run ? OrderedJson(VerdictName(m.first_token)) : nullptr},
        {"positions_verdict", run ? OrderedJson(VerdictName(m.positions)) : nullptr},
        {"first_token_gates", m.first_token_gates},
        {"positions_gates", m.position_gates},
        {"kl", run ? OrderedJson(m.kl) : nullptr},
        {"sigma_ratio", run ? OrderedJson(m.sigma_ratio) : nullptr},
        {"fp32_kl", m.fp32_kl ? OrderedJson(*m.fp32_kl) : OrderedJson(nullptr)},
        {"seconds", m.seconds}};
  };
  OrderedJson mutants = OrderedJson::array();
  for (const MutantResult& m : result.mutants) mutants.push_back(one(m));
  return {{"model", result.model},
          {"target", result.target},
          {"numerics", result.numerics},
          {"threads", result.threads},
          {"prompts", result.prompts},
          {"positions", result.positions},
          {"control", one(result.control)},
          {"mutants", mutants},
          {"killed", result.Count(Fate::kKilled)},
          {"killed_in_fp32", result.Count(Fate::kKilledInFp32)},
          {"survived", result.Count(Fate::kSurvived)},
          {"equivalent", result.Count(Fate::kEquivalent)},
          {"not_applicable", result.Count(Fate::kNotApplicable)},
          {"missed_by_first_token", result.MissedByFirstToken()},
          {"passed", result.passed()},
          {"seconds", result.seconds}};
}

}  // namespace merope

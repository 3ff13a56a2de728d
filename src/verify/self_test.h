// The self-test of the suite: it plants the faults of mutants.h into a target, one at a time,
// judges each mutant as `merope verify --quick` judges a target, and tells which gates kill it. The
// control is the same target without a fault. Called by `merope verify --self-test`, on the
// caller's thread; the models and the comparison of rows also use teams of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "text/tokenizer.h"
#include "verify/mutants.h"
#include "verify/numerics.h"
#include "verify/result.h"

namespace merope {

struct SelfTestOptions {
  Numerics numerics;  // of the target
  KvStorage kv = KvStorage::kAuto;
  int threads = 0;                     // 0: DefaultThreads()
  std::vector<std::string> mutants{};  // keys; empty: all mutants
  // Called with the name of the current phase ("fp32 reference", "mutant eps") and its positions.
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress{};
};

// A mutant whose fp32 differs by less than this mean KL from the model's fp32 is equivalent: the
// fault changes nothing that the arithmetic of a format could show.
inline constexpr double kEquivalentKl = 1e-7;

enum class Fate : uint8_t {
  kKilled,        // the verdict of (b) is FAIL
  kSurvived,      // it is not
  kEquivalent,    // it is not, and the mutant is equivalent
  kKilledInFp32,  // only the same fault in an fp32 target is: smaller than the noise of the format
  kNotApplicable  // the model cannot have this fault, which was not run
};
std::string_view FateName(Fate fate);  // "killed"

struct MutantResult {
  std::string key, area, description;
  Fate fate = Fate::kSurvived;
  Verdict first_token = Verdict::kFail, positions = Verdict::kFail;  // of (a) and (b)
  // The keys of the gates of (a) and of (b) whose verdict is FAIL; of kKilledInFp32, those of the
  // fp32 target.
  std::vector<std::string> first_token_gates{}, position_gates{};
  double kl = 0;                    // mean, against the fp32 baseline
  double sigma_ratio = 0;           // gate (4)
  std::optional<double> fp32_kl{};  // mean, fp32 against fp32; only of mutants that no gate kills
  std::string why{};                // of kNotApplicable
  double seconds = 0;
};

struct SelfTestResult {
  std::string model, target;  // path; "cpu (AVX3_ZEN4, 2 threads), bf16"
  std::string numerics;       // "bf16"
  int threads = 0;
  int64_t prompts = 0, positions = 0;
  MutantResult control;  // fate is kSurvived, as it should
  std::vector<MutantResult> mutants;
  double seconds = 0;

  int64_t Count(Fate fate) const;
  // Killed mutants that (a), the reference report's own table, does not fail.
  int64_t MissedByFirstToken() const;
  // No mutant survived, and (b) does not fail the control. (a) may: it judges what the format
  // itself costs, and narrow formats cost much.
  bool passed() const;
};

// Reads a list of keys, separated by commas. The error names the keys that exist.
Result<std::vector<std::string>> ParseMutants(std::string_view list);

// A mutant that survives in one of merope's own formats is also planted into an fp32 target, which
// `merope verify --dtype fp32` judges: the noise there is smaller by orders of magnitude. A server
// that rounds every op has no such target.
Result<SelfTestResult> SelfTest(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                const SelfTestOptions& options);

OrderedJson ToJson(const SelfTestResult& result);

}  // namespace merope

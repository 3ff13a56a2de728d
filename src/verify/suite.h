// The precision suite. It compares a target (a faster arithmetic) with the fp32 baseline, prompt by
// prompt, and computes the verdicts. Called by `merope verify` and `merope report`, on the caller's
// thread; the comparison of rows also uses a team of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "backend/registry.h"
#include "base/error.h"
#include "base/stop.h"
#include "checkpoint/checkpoint.h"
#include "text/tokenizer.h"
#include "verify/endpoint_target.h"
#include "verify/metrics.h"
#include "verify/prompts.h"
#include "verify/result.h"

namespace merope {

class BundleWriter;

struct VerifyOptions {
  VerifyMode mode = VerifyMode::kDefault;
  Precision target = Precision::kBf16;
  KvStorage target_kv = KvStorage::kAuto;  // of the target, and of the target's emulation
  // How the target rounds the result of each op; only for a target that another engine computed.
  OpRounding target_rounding = OpRounding::kNone;
  int threads = 0;  // 0: DefaultThreads()
  // A safetensors file of baseline logits (tools/dump_hf_logits.py). Empty: the baseline is
  // merope's own fp32.
  std::string against;
  // A safetensors file of the target's logits, which another device computed. `target` and
  // `target_kv` then name the format in which the device computed, and the suite emulates this
  // format. Empty: the suite runs the target itself.
  std::string target_file{};
  // The target is this server: the suite asks it for the prompts. `target` and `target_rounding`
  // then are its numerics. nullptr: none.
  EndpointTarget* endpoint = nullptr;
  // Keeps everything that the verdict stands on (bundle.h). nullptr: nothing is kept.
  BundleWriter* bundle = nullptr;
  // A file of the user's own prompts (verify/user_prompts.h), which follow the prompts of the mode.
  // Empty: none.
  std::string prompts{};
  // The checkpoint whose fp32 is the baseline; must have the same vocabulary size. nullptr: the
  // verified checkpoint.
  const Checkpoint* original = nullptr;
  StopFlag stop{};  // ends the verification with an error, after the present chunk of positions
  // Called for each compared position of the reference report's prompts if the target lists tokens:
  // with the baseline's logits and the target's tokens. May be empty.
  std::function<void(std::span<const float> baseline, const ListedRow& target)> listed_row{};
  // Called with the name of the current phase ("fp32 reference", "comparing") and its positions.
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress;
};

// The number of phases that progress will see. The last phase, for the suspects, may not occur.
int VerifyPhases(const VerifyOptions& options);

// Returns an error for a vocabulary of fewer than two tokens: it has only one distribution, so
// there is nothing to compare.
Status CheckVocabulary(const Checkpoint& checkpoint);

Result<VerifyResult> Verify(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                            const VerifyOptions& options);

}  // namespace merope

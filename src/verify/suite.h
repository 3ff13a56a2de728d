// The precision suite: a target (a faster arithmetic) against the fp32 baseline, prompt by prompt,
// and the verdicts. Called by `merope verify` and the report, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "text/tokenizer.h"
#include "verify/prompts.h"
#include "verify/result.h"

namespace merope {

struct VerifyOptions {
  VerifyMode mode = VerifyMode::kDefault;
  Precision target = Precision::kBf16;
  KvStorage target_kv = KvStorage::kAuto;  // of the target, and of what emulates it
  int threads = 0;                         // 0: DefaultThreads()
  std::string against;  // a safetensors file of baseline logits (tools/dump_hf_logits.py); empty:
                        // our own fp32
  std::string target_file{};  // a file of another device's logits, which are the target's; what is
                              // emulated is the format that it computed in: target, target_kv
  std::string prompts{};  // a file of the user's own (verify/user_prompts.h), after those of the
                          // mode; empty: none
  // Whose fp32 is the baseline; nullptr: the checkpoint's own. Of the same vocabulary.
  const Checkpoint* original = nullptr;
  // What is being done now ("reference", "comparing"), and how far it is.
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress;
};

// How many phases progress will see; the last, of suspects, may be missing.
int VerifyPhases(const VerifyOptions& options);

// An error where there is nothing to compare: a vocabulary of one token has one distribution.
Status CheckVocabulary(const Checkpoint& checkpoint);

Result<VerifyResult> Verify(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                            const VerifyOptions& options);

}  // namespace merope

// The texts of a target that is judged by its tokens alone (token_audit.h): greedy ones, and
// samples at temperature 1, of merope's own back end or of a server. Called by `merope verify
// --tokens`, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "checkpoint/checkpoint.h"
#include "endpoint/endpoint.h"
#include "engine/load.h"
#include "text/tokenizer.h"
#include "verify/prompts.h"

namespace merope {

// The texts of a target: prompts whose last `generated` ids are its tokens.
struct TargetTexts {
  std::vector<VerifyPrompt> greedy, sampled;
  int64_t unread = 0;  // texts whose tokens could not be told (AskTexts)
  // Tokens that the target could not choose. llama.cpp's ignore_eos forbids the tokens that end a
  // text, instead of going on after them.
  std::vector<int32_t> forbidden = {};
};

// How many tokens each text has, by the mode.
int64_t AuditLength(VerifyMode mode);

// Continues the reference report's prompts on the CPU back end: greedily, and with the engine's
// sampler at this temperature.
struct OwnTexts {
  Precision precision = Precision::kBf16;
  KvStorage kv = KvStorage::kAuto;
  int threads = 0;
  double temperature = 1;  // another one is for tests
};
Result<TargetTexts> GenerateTexts(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                  const OwnTexts& own, VerifyMode mode, StopFlag stop,
                                  const std::function<void(int64_t done, int64_t total)>& progress);

// Asks a server for the same texts. A server that does not name tokens by id gives texts; a text
// counts if the tokenizer gives as many tokens for it as the server counted. Errors: those of the
// endpoint; no text whose tokens can be told.
Result<TargetTexts> AskTexts(const Endpoint& endpoint, const Checkpoint& checkpoint,
                             const Tokenizer& tokenizer, VerifyMode mode, int64_t concurrency,
                             const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace merope

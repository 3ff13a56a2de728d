// Judges a target by its tokens alone, without its logprobs: the model runs the same tokens in
// fp32, and says how probable each token was. Called by `merope verify --tokens`, on its thread.
//
// Greedy texts: the margin of a token is the difference between fp32's largest logit and the logit
// of the token (Token-DiFR, arXiv 2511.20621, at temperature 0). Rounding gives small margins, at
// few tokens; the emulated format shows how many.
//
// Sampled texts: at temperature 1, the probability of all tokens that are more probable than the
// sampled token, plus a random share of its own probability, is uniform on [0, 1], independently at
// each position (the randomised probability integral transform, PIT). Three tests look for a
// deviation.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/stop.h"
#include "checkpoint/checkpoint.h"
#include "verify/numerics.h"
#include "verify/token_texts.h"
#include "verify/verdict.h"

namespace merope {

// A test of the sampled tokens. Its p-value is adjusted for the number of tests (Holm).
struct SamplingTest {
  std::string key, label;
  double statistic = 0, p_value = 1;
};
// How many sampled tokens show a temperature other than 1, with a probability of 95 %.
struct TemperaturePower {
  double temperature = 0;
  int64_t tokens = 0;  // 0: not by this test
};

struct TokensResult {
  std::string model, target, numerics;
  int threads = 0;
  int64_t unread = 0;
  int64_t greedy_texts = 0, greedy_tokens = 0, flips = 0;
  double expected_flips = 0;
  double mean_margin = 0, emulated_margin = 0;  // nat; of the target and of the emulated format
  // The tokens that show, with a probability of 95 %, a mean margin of twice the format's.
  int64_t tokens_for_power = 0;
  int64_t sampled_texts = 0, sampled_tokens = 0;
  std::vector<SamplingTest> tests;
  std::vector<TemperaturePower> power;
  std::vector<GateResult> gates;
  Verdict verdict = Verdict::kPass;
  double seconds = 0;
};

struct AuditOptions {
  Numerics numerics = {};
  KvStorage kv = KvStorage::kAuto;
  int threads = 0;
  StopFlag stop = {};
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress = {};
};
// target: its name. Errors: no token in the texts.
Result<TokensResult> AuditTokens(const Checkpoint& checkpoint, const std::string& target,
                                 const TargetTexts& texts, const AuditOptions& options);

OrderedJson ToJson(const TokensResult& result);

}  // namespace merope

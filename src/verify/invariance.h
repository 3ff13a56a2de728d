// The invariance matrix of merope's own back ends: the same tokens in several conditions that
// change the way of the computation, but not the question. merope promises the same bits in all of
// them. Called by `merope verify --invariance`, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/registry.h"
#include "base/error.h"
#include "base/json.h"
#include "base/stop.h"
#include "checkpoint/checkpoint.h"
#include "verify/prompts.h"
#include "verify/verdict.h"

namespace merope {

struct InvarianceOptions {
  Precision precision = Precision::kBf16;
  KvStorage kv = KvStorage::kAuto;
  int threads = 0;  // 0: DefaultThreads()
  std::string_view backend = kCpuBackend;
  VerifyMode mode = VerifyMode::kDefault;
  StopFlag stop = {};
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress = {};
};

// A condition, compared with one sequence at a time: a prefill in one step, then greedy tokens one
// by one.
struct InvarianceRow {
  std::string key, label;
  int64_t rows = 0;       // rows of logits that were compared
  int64_t different = 0;  // rows with other bits
  double largest = 0;     // the largest |Δ logit|
  // Of the first difference.
  std::string prompt{};
  int64_t position = 0;
};

struct InvarianceResult {
  std::string model, target, dtype;
  int threads = 0;
  int64_t prompts = 0, tokens = 0;  // tokens: generated after each prompt
  std::vector<int64_t> lengths;     // of the prompts that are cut to a length
  std::vector<InvarianceRow> rows;
  Verdict verdict = Verdict::kPass;  // FAIL: a row has other bits
  double seconds = 0;
};

// prompts: those of the mode; the first of them, and texts cut from all of them at the lengths of
// pages and powers of two, are run.
Result<InvarianceResult> MeasureInvariance(const Checkpoint& checkpoint,
                                           const std::vector<VerifyPrompt>& prompts,
                                           const InvarianceOptions& options);

OrderedJson ToJson(const InvarianceResult& result);

}  // namespace merope

// Everything that the suite compares and judges, wherever it comes from: from models, files and
// servers (suite.cc), or from a bundle (replay.h). Called by these two, on their thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/stop.h"
#include "verify/comparison.h"
#include "verify/logit_source.h"
#include "verify/result.h"

namespace merope {

struct SuiteInputs {
  // What the result states: mode, model, names of baseline and target, numerics, threads, context,
  // endpoint. The rest of it is not read.
  VerifyResult stated;
  ModelConfig config;
  SuitePrompts prompts;
  std::unique_ptr<LogitSource> baseline, target;
  bool own_target = false;  // the target is a model that is freed after the comparison
  // The rows of the reference prompts: fp32, the emulated format, and emulated bf16. reference is
  // nullptr if the baseline itself is the fp32 reference. rounded is nullptr if emulated also holds
  // the emulated bf16 rows.
  std::unique_ptr<LogitSource> reference, emulated, rounded;
  // The emulated format at the suspects (suspects.h).
  std::function<Result<std::shared_ptr<LogitSource>>(uint64_t sample)> emulation;
  TokenNames names;
};

struct JudgeHooks {
  // As VerifyOptions has them.
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress;
  StopFlag stop = {};
  std::function<void(std::span<const float> baseline, const ListedRow& target)> listed_row = {};
};

// Compares, examines the suspects and judges. The speeds are those of reading the sources.
Result<VerifyResult> JudgeInputs(SuiteInputs inputs, const JudgeHooks& hooks);

}  // namespace merope

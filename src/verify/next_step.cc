#include "verify/next_step.h"

#include <fmt/format.h>

#include <algorithm>

namespace merope {
namespace {

// The number of positions of a mode, as a multiple of the number of --quick. The factors are those
// of SmolLM2's tokenizer; other tokenizers differ little.
double Size(VerifyMode mode) {
  return mode == VerifyMode::kQuick ? 1 : mode == VerifyMode::kDefault ? 11 : 48;
}

}  // namespace

NextStep WhatSettles(const VerifyResult& result) {
  NextStep step;
  bool known = true;
  for (const GateResult& gate : result.positions.gates) {
    if (gate.verdict != Verdict::kInconclusive) continue;
    known = known && gate.positions_needed > 0;
    step.needed = std::max(step.needed, gate.positions_needed);
  }
  if (!known) step.needed = 0;
  for (const VerifyMode mode : {VerifyMode::kDefault, VerifyMode::kFull}) {
    step.mode = mode;
    step.positions = static_cast<int64_t>(static_cast<double>(result.positions.positions) *
                                          Size(mode) / Size(result.mode));
    step.enough = step.needed > 0 && step.positions >= step.needed && mode > result.mode;
    if (step.enough) break;
  }
  return step;
}

std::string Command(const NextStep& step, const VerifyResult& result) {
  const std::string mode = step.mode == VerifyMode::kFull ? " --full" : "";
  if (result.endpoint)
    return fmt::format("merope verify {}{} --endpoint {}", result.model, mode,
                       result.endpoint->server.url);
  return fmt::format("merope verify {}{} --dtype {}", result.model, mode,
                     PrecisionName(result.target_precision));
}

}  // namespace merope

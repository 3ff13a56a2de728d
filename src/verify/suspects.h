// The examination of suspects: positions where the target differs more than the noise model
// explains. Emulating the format there shows whether the format itself causes the difference.
// Called by the suite and the self-test, on their thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "verify/comparison.h"
#include "verify/figures.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"

namespace merope {

// The largest number of positions that the reference back end computes to examine the suspects of a
// target.
int64_t SuspectPositions(VerifyMode mode);
// How many samples of the format's noise a suspect gets that stays unexplained. A target that
// rounds every op gets several: at a few positions of some models, huge activations cancel, and one
// sample says little about another.
uint64_t NoiseSamples(OpRounding rounding);

struct Examination {
  const SuitePrompts& prompts;
  LogitSource* baseline = nullptr;
  LogitSource* top = nullptr;  // the target, if it lists only some tokens; else nullptr
  // The rows of the emulated format. sample: 0 rounds to nearest; another one is the seed of random
  // rounding.
  std::function<Result<std::shared_ptr<LogitSource>>(uint64_t sample)> emulation;
  PositionProgress progress;
  StopFlag stop = {};
};

// Emulates the format once more at the suspects that no emulation explains yet, with one sample of
// its noise. The prompts that need the fewest positions come first, until the budget is used up.
Status Examine(const Examination& examination, const std::vector<PositionRecord>& positions,
               uint64_t sample, int64_t* budget, std::vector<Suspect>* suspects);

}  // namespace merope

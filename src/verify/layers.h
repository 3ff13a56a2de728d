// Finds the op at which a target leaves the band of its format. Three models run the same prompts:
// fp32 (the reference back end), the emulated format (the reference back end), and the target. Each
// intermediate result of the emulation and of the target is compared with that of fp32. Called by
// `merope verify --layers`, on its thread.
//
// An error is measured twice. Accumulated: the model runs by itself, and errors grow from op to op.
// Alone: after each op, the op's result is replaced by that of fp32, so that each op works on exact
// inputs, and its error is its own. The results of a file cannot be replaced: fp32 and the
// emulation then run on the file's results, and the error of an op is that against fp32 on the same
// inputs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/stop.h"
#include "checkpoint/checkpoint.h"
#include "verify/mutants.h"
#include "verify/numerics.h"
#include "verify/prompts.h"
#include "verify/verdict.h"

namespace merope {

struct LayersOptions {
  Numerics numerics = {};  // of the target, and of the emulation
  KvStorage kv = KvStorage::kAuto;
  int threads = 0;  // 0: DefaultThreads()
  // A file of the target's intermediate results (layer_file.h). Empty: the target is the CPU back
  // end.
  std::string target_file{};
  const Mutant* mutant = nullptr;  // a fault to plant into the target; for tests
  StopFlag stop{};
  std::function<void(std::string_view phase, int64_t done, int64_t total)> progress{};
};

// Errors of the results of one point against fp32's, over all compared rows. Δ: the difference.
struct PointErrors {
  double relative_l2 = 0;  // root mean square over the rows of ‖Δ‖ / ‖fp32's row‖
  // Mean and largest |Δ| / (|fp32's value| + 10⁻⁷): MERE and MARE of Huawei's standard for ops.
  double mere = 0, mare = 0;
};

// A point: the result of an op, named as Hugging Face names the module that gives it, or, where no
// module does, as model/llama.cc names it: "layers.3.self_attn.q_rotated".
struct LayerPoint {
  std::string name, op;                      // op: "RoPE"
  PointErrors target, emulated;              // accumulated
  double ratio = 0;                          // relative_l2 of the target over its band
  PointErrors target_alone, emulated_alone;  // alone
  // relative_l2 of the target alone over its band. If the target is no file: at least that of each
  // row, whose band is no less than the band of the point.
  double ratio_alone = 0;
};

struct Culprit {
  std::string point, op;
  bool alone = false;  // found by the op's own error
  double error = 0, band = 0, ratio = 0;
  std::string prompt;    // where the target leaves the band first
  int64_t position = 0;  // of the token in the prompt, from 0
};

// The target, prefilled in steps of many tokens, beside the same target, token by token.
struct DecodeCheck {
  bool identical = true;  // all results have the same bits
  // The first difference.
  std::string point{}, prompt{};
  int64_t position = 0;
};

struct LayersResult {
  std::string model, target, numerics;
  int threads = 0;
  int64_t prompts = 0, positions = 0;
  double limit = 0;                     // of the ratios
  std::vector<LayerPoint> points;       // in the order of the ops
  std::optional<Culprit> culprit{};     // the first op outside its band
  std::optional<DecodeCheck> decode{};  // absent for a file
  Verdict verdict = Verdict::kPass;     // FAIL: a culprit, or a decode step with other bits
  double seconds = 0;
};

// The prompts of --layers: a few of the mode's prompts, the longest of which has several pages of
// K and V if the mode has such a prompt.
std::vector<VerifyPrompt> ChooseLayerPrompts(std::vector<VerifyPrompt> prompts, VerifyMode mode);

// prompts: not used with a target file, which has its own.
Result<LayersResult> TraceLayers(const Checkpoint& checkpoint, std::vector<VerifyPrompt> prompts,
                                 const LayersOptions& options);

OrderedJson ToJson(const LayersResult& result);

}  // namespace merope

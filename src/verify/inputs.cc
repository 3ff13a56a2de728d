#include "verify/inputs.h"

#include <utility>
#include <vector>

#include "engine/load.h"
#include "verify/suspects.h"

namespace merope {
namespace {

Result<std::vector<Suspect>> ExamineSuspects(SuiteInputs& inputs, const ComparedRecords& records,
                                             const JudgeHooks& hooks, PositionProgress progress) {
  std::vector<Suspect> suspects = FindSuspects(records.positions, records.references);
  LogitSource* const target = inputs.target.get();
  const Examination examination{inputs.prompts,
                                inputs.baseline.get(),
                                target != nullptr && target->top_k() > 0 ? target : nullptr,
                                inputs.emulation,
                                std::move(progress),
                                hooks.stop};
  const OpRounding rounding = inputs.stated.target_rounding;
  int64_t budget = SuspectPositions(inputs.stated.mode);
  for (uint64_t sample = 0; sample < NoiseSamples(rounding); ++sample)
    TRY(Examine(examination, records.positions, sample, &budget, &suspects));
  return suspects;
}

}  // namespace

Result<VerifyResult> JudgeInputs(SuiteInputs inputs, const JudgeHooks& hooks) {
  const auto phase = [&hooks](std::string name) -> PositionProgress {
    return [&hooks, name = std::move(name)](int64_t done, int64_t total) {
      if (hooks.progress) hooks.progress(name, done, total);
    };
  };
  VerifyResult result = std::move(inputs.stated);
  inputs.stated = {};
  inputs.stated.mode = result.mode;
  inputs.stated.target_rounding = result.target_rounding;
  ComparedRecords records;
  {
    Comparison comparison(inputs.prompts, inputs.names, result.threads);
    TRY(comparison.Compare(
        {inputs.baseline.get(), inputs.target.get(), inputs.reference.get(), inputs.emulated.get(),
         inputs.rounded.get(), hooks.stop, hooks.listed_row},
        nullptr, 0, inputs.prompts.prompts.size(), phase("comparing"), &records));
  }
  if (inputs.own_target) inputs.target.reset();
  TRY_ASSIGN(const std::vector<Suspect> suspects,
             ExamineSuspects(inputs, records, hooks, phase("emulation of suspects")));
  const double n = static_cast<double>(records.positions.size());
  result.baseline_tokens_per_second = n / records.baseline_seconds;
  result.target_tokens_per_second = n / records.target_seconds;
  Judgment judgment =
      JudgeRecords(inputs.prompts, inputs.prompts.prompts.size(), inputs.config, inputs.names,
                   IsNarrow(result.target_precision) || result.target_rounding != OpRounding::kNone,
                   std::move(records), suspects);
  result.first_token = std::move(judgment.first_token);
  result.reference = judgment.reference;
  result.positions = std::move(judgment.positions);
  result.verdict = judgment.verdict;
  if (result.endpoint) result.verdict = Worse(result.verdict, result.endpoint->verdict);
  return result;
}

}  // namespace merope

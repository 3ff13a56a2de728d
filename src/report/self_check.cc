#include "report/self_check.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace merope {
namespace {

Status NotBetter(std::string_view whole, Verdict verdict, std::string_view part, Verdict of_part) {
  if (verdict >= of_part) return {};
  return Err("report: {}: expected a verdict that is not better than {} of {}, found {}", whole,
             VerdictName(of_part), part, VerdictName(verdict));
}

Status CheckGates(std::string_view suite, Verdict verdict, const std::vector<GateResult>& gates) {
  for (const GateResult& gate : gates) {
    GateResult again = gate;
    Judge(&again, 1);
    if (gate.verdict == Verdict::kPass && again.verdict != Verdict::kPass)
      return Err("report: {}: {}: expected {}, as the value {} says, found PASS", suite, gate.key,
                 VerdictName(again.verdict), gate.value);
    TRY(NotBetter(suite, verdict, gate.key, gate.verdict));
  }
  return {};
}

Status CheckSuite(const VerifyResult& result) {
  TRY(CheckGates("(a)", result.first_token.verdict, result.first_token.gates));
  TRY(CheckGates("(b)", result.positions.verdict, result.positions.gates));
  const int64_t matches = std::ranges::count(result.first_token.rows, true, &FirstTokenRow::match);
  if (matches != result.first_token.matches)
    return Err("report: (a): expected {} matches, as the rows say, found {}", matches,
               result.first_token.matches);
  std::vector<std::pair<std::string_view, Verdict>> parts = {{"(a)", result.first_token.verdict},
                                                             {"(b)", result.positions.verdict}};
  if (result.endpoint) {
    Verdict probe = Verdict::kPass;
    for (const ProbeFinding& finding : result.endpoint->probe.findings)
      if (finding.found == Found::kWrong) probe = Verdict::kFail;
    TRY(NotBetter("the probe", result.endpoint->verdict, "a finding", probe));
    parts.emplace_back("the probe", result.endpoint->verdict);
  }
  for (const auto& [name, verdict] : parts)
    TRY(NotBetter("the verification", result.verdict, name, verdict));
  return {};
}

}  // namespace

Status CheckVerdicts(const ReportData& data) {
  TRY(CheckSuite(data.verify));
  for (const DtypeRow& row : data.dtypes) TRY(CheckSuite(row.verify));
  return {};
}

}  // namespace merope

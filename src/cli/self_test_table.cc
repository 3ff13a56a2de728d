#include "cli/self_test_table.h"

#include <fmt/ranges.h>

#include "cli/cli.h"
#include "verify/digits.h"
#include "verify/token_text.h"

namespace merope {
namespace {

std::string Fated(const MutantResult& m, bool bad, bool color) {
  std::string name(FateName(m.fate));
  if (color) name = fmt::format("\x1b[{}m{}\x1b[0m", bad ? 31 : 32, name);
  return name;
}

std::string GateList(const std::vector<std::string>& keys) {
  return keys.empty() ? "—" : fmt::format("{}", fmt::join(keys, " "));
}

std::string Line(const MutantResult& m, const std::string& fate) {
  if (m.fate == Fate::kNotApplicable)
    return fmt::format("  {} {}: {}\n", FitWidth(m.key, 22), fate, m.why);
  std::string line =
      fmt::format("  {} {} {} {} {} {}", FitWidth(m.key, 22), FitWidth(Number(m.kl), 12),
                  FitWidth(Number(m.sigma_ratio), 8), FitWidth(VerdictName(m.first_token), 12),
                  FitWidth(VerdictName(m.positions), 12), fate);
  if (m.fp32_kl) line += fmt::format(" (KL of fp32 {})", Number(*m.fp32_kl));
  line += fmt::format("\n      {}\n", m.description);
  if (m.fate == Fate::kKilled || m.fate == Fate::kKilledInFp32)
    line += fmt::format("      (a) {}\n      (b) {}\n", GateList(m.first_token_gates),
                        GateList(m.position_gates));
  return line;
}

}  // namespace

std::string SelfTestTable(const SelfTestResult& result, bool color) {
  std::string text =
      fmt::format("merope verify --self-test\n  model     {}\n  target    {}\n  numerics  {}\n\n",
                  result.model, result.target, result.numerics);
  text += fmt::format("  {} {} {} {} {}\n", FitWidth("mutant", 22), FitWidth("KL", 12),
                      FitWidth("σ ratio", 8), FitWidth("(a)", 12), FitWidth("(b)", 12));
  const bool control_failed = result.control.fate == Fate::kKilled;
  MutantResult control = result.control;
  text += Line(control, control_failed ? Fated(control, true, color) : "as it should");
  for (const MutantResult& m : result.mutants)
    text += Line(m, Fated(m, m.fate == Fate::kSurvived, color));
  text += fmt::format(
      "\n{} of {} mutants killed, {} killed in fp32 only, {} survived, {} equivalent, {} not "
      "applicable; (a), the reference report's table, misses {} of those killed; the control {}\n",
      result.Count(Fate::kKilled), result.mutants.size(), result.Count(Fate::kKilledInFp32),
      result.Count(Fate::kSurvived), result.Count(Fate::kEquivalent),
      result.Count(Fate::kNotApplicable), result.MissedByFirstToken(),
      control_failed ? "FAILS" : "does not fail");
  const char* verdict = result.passed() ? "PASS" : "FAIL";
  return text +
         fmt::format(
             "{}  ({} positions of {} prompts, {:.1f} s)\n",
             color ? fmt::format("\x1b[{}m{}\x1b[0m", result.passed() ? 32 : 31, verdict) : verdict,
             result.positions, result.prompts, result.seconds);
}

}  // namespace merope

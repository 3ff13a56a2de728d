#include "cli/verify_table.h"

#include <cmath>

#include "verify/token_text.h"

namespace merope {
namespace {

// Counts as they are, ratios and probabilities with as many digits as tell something.
std::string Number(double value) {
  const double size = std::abs(value);
  if (value == std::floor(value) && size < 1e9) return fmt::format("{:.0f}", value);
  if (size < 1e-3) return fmt::format("{:.2e}", value);
  if (size < 1) return fmt::format("{:.5f}", value);
  return fmt::format("{:#.4g}", value);
}

std::string Colored(Verdict verdict, bool color) {
  std::string name(VerdictName(verdict));
  if (!color) return name;
  const int code = verdict == Verdict::kPass ? 32 : verdict == Verdict::kFail ? 31 : 33;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, name);
}

std::string Limit(const GateResult& gate) {
  if (gate.min && gate.max && *gate.min == -*gate.max) return fmt::format("within ±{}", *gate.max);
  if (gate.min) return fmt::format("{} {}", gate.strict ? ">" : "≥", *gate.min);
  if (gate.max) return fmt::format("{} {}", gate.strict ? "<" : "≤", *gate.max);
  return "";
}

std::string Range(const GateResult& gate) {
  if (!gate.interval) return "";
  return fmt::format("[{}, {}] {:.0f} %", Number(gate.interval->low), Number(gate.interval->high),
                     gate.confidence * 100);
}

std::string Gates(const std::vector<GateResult>& gates, bool color) {
  std::string text;
  for (const GateResult& gate : gates) {
    text += fmt::format("  {} {} {} {} {}", FitWidth(gate.label, 44),
                        FitWidth(Number(gate.value), 10), FitWidth(Range(gate), 30),
                        FitWidth(Limit(gate), 15), Colored(gate.verdict, color));
    if (gate.positions_needed > 0)
      text += fmt::format(" (needs about {} positions)", gate.positions_needed);
    if (!gate.note.empty()) text += "  " + gate.note;
    text += "\n";
  }
  return text;
}

std::string FirstToken(const FirstTokenTable& table, bool color) {
  constexpr int64_t kPrompt = 66, kToken = 16;
  std::string text =
      "(a) First token after each prompt, the baseline's 20 most probable tokens\n\n";
  text += fmt::format("   # {} {} {} match   cosine        KL\n", FitWidth("prompt", kPrompt),
                      FitWidth("baseline", kToken), FitWidth("target", kToken));
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const FirstTokenRow& row = table.rows[i];
    text += fmt::format("  {:2} {} {} {} {:>5} {:8.6f} {:9.6f}\n", i + 1,
                        FitWidth(EscapeText(row.prompt), kPrompt),
                        FitWidth(row.baseline_top1, kToken), FitWidth(row.target_top1, kToken),
                        row.match ? "yes" : "NO", row.cosine, row.kl);
  }
  text += fmt::format("\n  top-1 {} of {}   cosine {:.6f}   1 − cosine {:.6f}   MAE {:.6f}\n",
                      table.matches, table.rows.size(), table.cosine, table.one_minus_cosine,
                      table.mae);
  text +=
      fmt::format("  KL {:.6f}   JS {:.6f}   Spearman {:.5f}   mean relative error {:.3f} %\n\n",
                  table.kl, table.js, table.spearman, table.mean_relative_error * 100);
  return text + Gates(table.gates, color) +
         fmt::format("\n  (a): {}\n\n", Colored(table.verdict, color));
}

std::string Positions(const VerifyResult& result, bool color) {
  const PositionSuite& suite = result.positions;
  std::string text = fmt::format("(b) The full vocabulary at {} positions of {} prompts\n\n",
                                 suite.positions, suite.prompts);
  text += fmt::format("  {} {} {} {} {} {}\n", FitWidth("", 32), FitWidth("mean", 11),
                      FitWidth("95 % interval", 24), FitWidth("median", 11), FitWidth("p99", 11),
                      "worst");
  for (const PositionFigure& f : suite.figures)
    text += fmt::format(
        "  {} {} {} {} {} {}\n", FitWidth(f.label, 32), FitWidth(Number(f.mean), 11),
        FitWidth(fmt::format("[{}, {}]", Number(f.mean_interval.low), Number(f.mean_interval.high)),
                 24),
        FitWidth(Number(f.median), 11), FitWidth(Number(f.p99), 11), Number(f.worst));
  int64_t unexplained = 0;
  for (const Flip& flip : suite.flips) unexplained += !flip.explained;
  text += fmt::format(
      "\n  same top-1 {:.3f} % [{:.3f}, {:.3f}]: {} flips, {:.1f} expected of the format, {} not "
      "explained by its noise\n",
      suite.same_top1_rate * 100, suite.same_top1_interval.low * 100,
      suite.same_top1_interval.high * 100, suite.flips.size(), suite.expected_flips, unexplained);
  text += fmt::format(
      "  Δp of the next token: RMS {:.4f} %, percentiles 1/5/50/95/99: {:+.3f} {:+.3f} {:+.3f} "
      "{:+.3f} {:+.3f} %\n",
      suite.rms_delta_p * 100, suite.delta_p_percentiles[0] * 100,
      suite.delta_p_percentiles[1] * 100, suite.delta_p_percentiles[2] * 100,
      suite.delta_p_percentiles[3] * 100, suite.delta_p_percentiles[4] * 100);
  text += fmt::format("  perplexity {:.4f}, baseline {:.4f}; Δ ln {:+.5f}\n\n", suite.target_ppl,
                      suite.baseline_ppl, suite.delta_ln_ppl);
  const ReferenceCheck& check = result.reference;
  text += fmt::format(
      "  On {} positions, by the reference back end:  fp32 → the format emulated  KL {}  σ {};  "
      "fp32 → "
      "target  KL {}  σ {}\n",
      check.positions, Number(check.emulated_kl), Number(check.emulated_sigma),
      Number(check.target_kl), Number(check.target_sigma));
  text += fmt::format("  fp32 → double sums: relative L2 mean {}, max {}\n\n",
                      Number(check.mean_relative_l2), Number(check.max_relative_l2));
  return text + Gates(suite.gates, color) +
         fmt::format("\n  (b): {}\n\n", Colored(suite.verdict, color));
}

}  // namespace

std::string VerifyTable(const VerifyResult& result, bool color) {
  std::string text =
      fmt::format("merope verify, mode {}\n  model     {}\n  baseline  {}\n  target    {}\n\n",
                  VerifyModeName(result.mode), result.model, result.baseline, result.target);
  text += FirstToken(result.first_token, color) + Positions(result, color);
  return text + fmt::format("{}  (mode {}, {} positions, {:.1f} s)\n",
                            Colored(result.verdict, color), VerifyModeName(result.mode),
                            result.positions.positions, result.seconds);
}

}  // namespace merope

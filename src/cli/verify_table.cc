#include "cli/verify_table.h"

#include <algorithm>
#include <array>

#include "cli/cli.h"
#include "verify/kinds.h"
#include "verify/next_step.h"
#include "verify/token_text.h"

namespace merope {
namespace {

std::string Confidence(double confidence) {
  return confidence > 0 && confidence != kConfidence ? fmt::format(" {:.0f} %", confidence * 100)
                                                     : "";
}

std::string Gates(std::span<const GateKind> kinds, const std::vector<GateResult>& gates,
                  bool color) {
  std::string text;
  for (const GateResult& gate : gates)
    text += GateLine(gate, std::ranges::find(kinds, gate.key, &GateKind::key)->unit, color);
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
  text += "\n";
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.mean == nullptr) continue;
    text +=
        fmt::format("  {} {}", FitWidth(kind.english, 44), ValueText(kind.unit, table.*kind.mean));
    if (kind.key == "top1_rate")
      text += fmt::format(" ({} of {})", table.matches, table.rows.size());
    text += "\n";
  }
  return text + "\n" + Gates(FirstTokenGateKinds(), table.gates, color) +
         fmt::format("\n  (a): {}\n\n", ColoredVerdict(table.verdict, color));
}

std::string Positions(const VerifyResult& result, bool color) {
  const PositionSuite& suite = result.positions;
  std::string text =
      fmt::format("(b) {} at {} positions of {} prompts\n\n",
                  result.endpoint ? "The most probable tokens" : "The full vocabulary",
                  suite.positions, suite.prompts);
  const auto row = [&text](std::string_view label, const MeasuredText& measured,
                           const std::array<std::string, 3>& rest) {
    std::string line = fmt::format("  {} {} {}", FitWidth(label, 34), FitWidth(measured.value, 12),
                                   FitWidth(measured.ends == "—" ? "" : measured.ends, 32));
    for (const std::string& cell : rest) line += fmt::format(" {}", FitWidth(cell, 12));
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  };
  row("", {"mean", "95 % interval"}, {"median", "p99", "worst"});
  for (const PositionFigure& f : suite.figures) {
    const Unit unit = FindFigure(f.key).unit;
    row(f.label, Measured(unit, f.mean, f.mean_interval),
        {ValueText(unit, f.median), ValueText(unit, f.p99), ValueText(unit, f.worst)});
  }
  for (const FigureKind& kind : FigureKinds()) {
    if (!kind.HasValue(suite)) continue;
    if (kind.suite != nullptr) {
      std::optional<Interval> interval;
      if (kind.interval != nullptr) interval = suite.*kind.interval;
      MeasuredText measured = Measured(kind.unit, suite.*kind.suite, interval);
      if (interval) measured.ends += Confidence(kind.confidence);
      row(kind.english, measured, {});
    } else if (kind.percentiles != nullptr) {
      text += fmt::format("  {}", FitWidth(kind.english, 34));
      for (const double value : suite.*kind.percentiles)
        text += fmt::format(" {}", ValueText(kind.unit, value));
      text += "\n";
    }
  }
  text += "\n";
  const ReferenceCheck& check = result.reference;
  text += fmt::format(
      "  On {} positions, by the reference back end:  fp32 → the format emulated  KL {}  σ {};  "
      "fp32 → "
      "target  KL {}  σ {}\n",
      check.positions, Number(check.emulated_kl), Number(check.emulated_sigma),
      Number(check.target_kl), Number(check.target_sigma));
  text += fmt::format("  fp32 → double-precision reference: relative L2 mean {}, max {}\n\n",
                      Number(check.mean_relative_l2), Number(check.max_relative_l2));
  return text + Gates(PositionGateKinds(), suite.gates, color) +
         fmt::format("\n  (b): {}\n\n", ColoredVerdict(suite.verdict, color));
}

std::string StabilityTable(const Stability& s) {
  std::string text = fmt::format(
      "Stability: {} prompts, {} tokens each, beside one request at a time\n\n  {} different  "
      "prefill |Δ logprob|  decode |Δ logprob|\n",
      s.prompts, s.tokens, FitWidth("", 52));
  for (const StabilityRow& row : s.rows)
    text += fmt::format("  {} {} {} {}\n", FitWidth(StabilityLabel(row.key), 52),
                        FitWidth(fmt::format("{} of {}", row.different, s.prompts), 10),
                        FitWidth(Number(row.prefill_delta), 19), Number(row.decode_delta));
  text += fmt::format("  {} {} {} {}\n", FitWidth("(vllm-ascend's own test allows)", 52),
                      FitWidth("", 10), FitWidth(Number(Stability::kPrefillYardstick), 19),
                      Number(Stability::kDecodeYardstick));
  return text + fmt::format("\n  most distinct answers to one prompt: {} ({})\n\n", s.most_distinct,
                            s.most_distinct_prompt);
}

std::string PairTable(const ServerPair& p, double emulated_sigma) {
  return fmt::format(
      "The second endpoint, {} at {}, beside the first, position by position\n\n"
      "  equal texts: {} of {}; other top-1: {} of {} positions, with a gap of at most {}\n"
      "  logprobs: σ {} (the format's own σ beside fp32: {}), largest |Δ| {} ({}, position {})\n\n",
      p.second.software.empty() ? "server" : p.second.software, p.second.url, p.same_texts,
      p.prompts, p.flips, p.positions, Number(p.widest_flip), Number(p.sigma),
      Number(emulated_sigma), Number(p.max_delta), p.worst_prompt, p.worst_position);
}

std::string EndpointFindings(const EndpointResult& endpoint, bool color) {
  std::string text =
      fmt::format("The endpoint: {} requests, {} tokens, {} repeated tries; numerics {}{}\n\n",
                  endpoint.requests, endpoint.tokens, endpoint.repeated_tries, endpoint.numerics,
                  endpoint.numerics_assumed ? " (assumed; --numerics names others)" : "");
  for (const ProbeFinding& f : endpoint.probe.findings) {
    const std::string line = fmt::format("  {} {} {}", FitWidth(f.label, 44),
                                         FitWidth(FoundName(f.found), 8), EscapeText(f.detail));
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text + fmt::format("\n  probe: {}\n\n", ColoredVerdict(endpoint.verdict, color));
}

}  // namespace

std::string ColoredVerdict(Verdict verdict, bool color) {
  std::string name(VerdictName(verdict));
  if (!color) return name;
  const int code = verdict == Verdict::kPass ? 32 : verdict == Verdict::kFail ? 31 : 33;
  return fmt::format("\x1b[{}m{}\x1b[0m", code, name);
}

std::string GateLine(const GateResult& gate, Unit unit, bool color) {
  const MeasuredText measured = Measured(unit, gate.value, gate.interval);
  std::string text =
      fmt::format("  {} {} {} {} {}", FitWidth(gate.label, 44), FitWidth(measured.value, 12),
                  FitWidth(gate.interval ? measured.ends + Confidence(gate.confidence) : "", 32),
                  FitWidth(LimitText(unit, gate), 10), ColoredVerdict(gate.verdict, color));
  if (gate.positions_needed > 0)
    text += fmt::format(" (needs about {} positions)", gate.positions_needed);
  if (!gate.note.empty()) text += "  " + gate.note;
  return text + "\n";
}

std::string VerifyTable(const VerifyResult& result, bool color) {
  std::string text =
      fmt::format("merope verify, mode {}\n  model     {}\n  baseline  {}\n  target    {}\n\n",
                  VerifyModeName(result.mode), result.model, result.baseline, result.target);
  if (result.endpoint) text += EndpointFindings(*result.endpoint, color);
  text += FirstToken(result.first_token, color) + Positions(result, color);
  if (result.endpoint && result.endpoint->eager)
    text += PairTable(*result.endpoint->eager, result.reference.emulated_sigma);
  if (result.endpoint && result.endpoint->stability)
    text += StabilityTable(*result.endpoint->stability);
  if (result.verdict == Verdict::kInconclusive) {
    const NextStep step = WhatSettles(result);
    text += fmt::format(
        "next step: {}  (about {} positions{})\n", Command(step, result), step.positions,
        step.needed == 0 ? ", no number is known to settle it"
        : step.enough    ? fmt::format(", of {} needed", step.needed)
                         : fmt::format(", not the {} needed: the nearest there is", step.needed));
  }
  return text + fmt::format("{}  (mode {}, {} positions, {:.1f} s)\n",
                            ColoredVerdict(result.verdict, color), VerifyModeName(result.mode),
                            result.positions.positions, result.seconds);
}

}  // namespace merope

// A VerifyResult with invented numbers. All numbers differ in the printed digits, so that a cell of
// a table shows which number it contains.
#pragma once

#include <cmath>
#include <string>

#include "verify/kinds.h"
#include "verify/result.h"

namespace merope {

// Value returns 2·10⁻⁶ times increasing powers of 1.04. Count returns 101, 108, 115, …
class Distinct {
 public:
  double Value() { return 2e-6 * std::pow(1.04, next_++); }
  int64_t Count() { return count_ += 7; }
  static Interval About(double value) { return {value * 0.871, value * 1.163}; }

 private:
  int next_ = 0;
  int64_t count_ = 94;
};

inline VerifyResult GoldenVerify() {
  Distinct distinct;
  VerifyResult r;
  r.mode = VerifyMode::kQuick;
  r.model = "model";
  r.baseline = "the baseline";
  r.target = "the target";
  r.threads = 2;
  r.context = 320;
  r.seconds = 12.25;
  r.baseline_tokens_per_second = 71;
  r.target_tokens_per_second = 83;
  for (int i = 0; i < 3; ++i) {
    FirstTokenRow row{"question " + std::string(1, static_cast<char>('a' + i)), "x", "y", i != 1};
    for (const FigureKind& kind : FigureKinds())
      if (kind.prompt != nullptr) row.*kind.prompt = 100 * distinct.Value();
    r.first_token.rows.push_back(row);
  }
  r.first_token.matches = 2;
  for (const FigureKind& kind : FigureKinds())
    if (kind.mean != nullptr) r.first_token.*kind.mean = distinct.Value();
  const auto add_gates = [&](std::span<const GateKind> kinds, std::vector<GateResult>* gates) {
    for (const GateKind& kind : kinds) {
      if (!kind.instead.empty() && kind.key != "same_top1_deficit") continue;
      const double value =
          kind.unit == Unit::kCount ? static_cast<double>(distinct.Count()) : distinct.Value();
      std::optional<Interval> interval;
      if (kind.confidence > 0) interval = Distinct::About(value);
      GateResult gate = NewGate(kind, value, interval);
      if (!gate.min && !gate.max) gate.max = static_cast<double>(distinct.Count());
      gate.verdict = static_cast<Verdict>(gates->size() % 3);
      if (gate.verdict == Verdict::kInconclusive) gate.positions_needed = distinct.Count();
      gates->push_back(gate);
    }
  };
  add_gates(FirstTokenGateKinds(), &r.first_token.gates);
  for (const FigureKind& kind : FigureKinds())  // the table of (a) shows gate and figure in one row
    for (GateResult& gate : r.first_token.gates)
      if (gate.key == kind.key) gate.value = r.first_token.*kind.mean;
  PositionSuite& s = r.positions;
  s.prompts = distinct.Count();
  s.positions = distinct.Count();
  s.next_positions = distinct.Count();
  s.generated_texts = distinct.Count();
  s.generated_tokens = distinct.Count();
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.position != nullptr) {
      PositionFigure f;
      f.key = kind.key;
      f.label = kind.english;
      for (double* value : {&f.mean, &f.median, &f.p99, &f.p999, &f.worst})
        *value = distinct.Value();
      f.mean_interval = Distinct::About(f.mean);
      f.p99_interval = Distinct::About(f.p99);
      s.figures.push_back(f);
    }
    if (kind.suite != nullptr) s.*kind.suite = distinct.Value();
    if (kind.interval != nullptr) s.*kind.interval = Distinct::About(s.*kind.suite);
    if (kind.percentiles != nullptr)
      for (double& value : s.*kind.percentiles) value = distinct.Value();
  }
  s.same_top1 = distinct.Count();
  for (int i = 0; i < 4; ++i)
    s.flips.push_back(
        {"prompt", distinct.Count(), "x", "y", distinct.Value(), distinct.Value(), i % 2 == 0});
  for (const char* kind : {"prose", "code"})
    s.by_prompt.push_back({kind, kind, "en", distinct.Count(), distinct.Count(), distinct.Value(),
                           distinct.Value(), distinct.Value(), distinct.Value()});
  add_gates(PositionGateKinds(), &s.gates);
  s.verdict = Verdict::kInconclusive;
  ReferenceCheck& c = r.reference;
  c.positions = distinct.Count();
  for (double* value : {&c.max_relative_l2, &c.mean_relative_l2, &c.worst_share_of_bound,
                        &c.bound_at_worst, &c.emulated_sigma, &c.emulated_relative_l2,
                        &c.emulated_kl, &c.emulated_expected_flips, &c.target_sigma, &c.target_kl})
    *value = distinct.Value();
  c.verdict = Verdict::kPass;
  r.first_token.verdict = Verdict::kPass;
  r.verdict = Verdict::kInconclusive;
  return r;
}

}  // namespace merope
